"""What the command line says of its commands, beside those of `staging/usage.py`."""

RUN_HELP = (
    "run the operator: watch EmbeddingServices, ModelCaches and RuntimeProfiles, and do what they ask for. Start as "
    "many as you like; the one that holds the Lease works, the others are ready to take over."
)
RUN_EPILOG = (
    "outside a cluster: embedding-operator run --kubeconfig FILE --image REGISTRY/embedding-operator:0.1.0. Where the "
    "chart is installed too, name its Lease with --lease-namespace and --lease-name, or both work at once. "
    "exit codes: 0 told to stop, 1 the Lease was lost, 2 wrong arguments."
)
EXPLAIN_HELP = (
    "every decision that the operator takes for the EmbeddingServices of these files, and why: image, version, flags, "
    "known problems, devices, volumes, probes. Needs no cluster and changes nothing."
)
EXPLAIN_EPILOG = (
    "profiles are the built-in ones and those in the files, so give your site's too: kubectl get rp -o yaml PROFILE > "
    "site.yaml; embedding-operator explain -f site.yaml -f service.yaml. exit codes: 0 can be served, 1 is refused, "
    "2 a file cannot be read."
)
STATUS_HELP = "how ModelCaches and EmbeddingServices stand, with a progress bar while weights are staged"
HISTORY_HELP = (
    "the stored revisions of an EmbeddingService: what each runs, what was changed for it, and how many pods have it"
)
HISTORY_EPILOG = (
    "the current revision, which new pods get, is marked; PODS are those that are ready, and all. Going back to a "
    "revision gives it a new number. exit codes: 0 shown, 1 it cannot be read, 2 no way to an API server."
)
ROLLBACK_HELP = (
    "go back to a stored revision of an EmbeddingService: its spec is written into the service again, but for "
    "replicas, suspend and exposure, and its pods come back as they were, until the spec changes"
)
ROLLBACK_EPILOG = (
    "needs the right to patch EmbeddingServices and to read ControllerRevisions, pods and ModelCaches. exit codes: "
    "0 done, or it was at that revision already, 1 it cannot be done, 2 no way to an API server."
)
