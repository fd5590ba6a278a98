"""What `embedding-operator stage` says of itself: words only, so that the command line need not load the stager."""

# By source, named as the hubs' own tools name them.
TOKEN_VARIABLES = {"modelScope": "MODELSCOPE_API_TOKEN", "huggingFace": "HF_TOKEN", "http": "HTTP_SOURCE_TOKEN"}
ENDPOINT_VARIABLES = {"modelScope": "MODELSCOPE_ENDPOINT", "huggingFace": "HF_ENDPOINT", "s3": "AWS_ENDPOINT_URL_S3"}
CA_VARIABLE = "EXTRA_CA_FILE"
S3_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

HELP = "stage a model's weights into a volume and verify every byte (what the staging Job runs)"
SPEC_HELP = (
    'the run as JSON, for example {"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-8B"}}, '
    '"root": "/cache"}; fields: source (modelScope, huggingFace, http, s3 or path), root, digest, parallelism (8), '
    "progressPort (8081)"
)
EPILOG = (
    f"environment: {', '.join(TOKEN_VARIABLES.values())} (token for private repositories), "
    f"{', '.join(S3_VARIABLES)} (for S3), "
    f"{', '.join(ENDPOINT_VARIABLES.values())} (the site's hub, if the spec names none), "
    "HTTP_PROXY, HTTPS_PROXY and NO_PROXY, EXTRA_CA_FILE, SSL_CERT_FILE, TERMINATION_LOG (result file; "
    "default /dev/termination-log). exit codes: 0 staged, 1 worth another try, 3 permanent failure."
)

CLEAN_HELP = "remove a staged model that nobody else on the volume uses (what the clean-up Job runs)"
CLEAN_SPEC_HELP = (
    "the run as JSON; fields: root, user (whose ModelCache); of what was published: path (below root), digest (of its "
    "manifest)"
)
