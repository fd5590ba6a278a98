package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
)

// fluxDo does what kustomize-controller does with what a Kustomization builds.
func fluxDo(ctx context.Context, on *cluster, one request) (any, error) {
	if err := on.connect(); err != nil {
		return nil, err
	}
	asking, err := discovery.NewDiscoveryClientForConfig(on.rest)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(asking))
	owner := ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}
	manager := ssa.NewResourceManager(on.client, polling.NewStatusPoller(on.client, mapper, polling.Options{}), owner)
	manager.SetOwnerLabels(one.Objects, "tested", "flux-system")
	if err := normalize.UnstructuredList(one.Objects); err != nil {
		return nil, err
	}
	switch one.Ask {
	case "flux-apply":
		changes, err := manager.ApplyAllStaged(ctx, one.Objects, ssa.DefaultApplyOptions())
		return actions(changes), err
	case "flux-diff":
		changes := ssa.NewChangeSet()
		for _, object := range one.Objects {
			change, _, _, err := manager.Diff(ctx, object, ssa.DefaultDiffOptions())
			if err != nil {
				return nil, err
			}
			changes.Add(*change)
		}
		return actions(changes), nil
	case "flux-wait":
		limit := time.Duration(one.Seconds) * time.Second
		options := ssa.WaitOptions{Interval: time.Second, Timeout: limit, FailFast: true}
		if err := manager.Wait(one.Objects, options); err != nil {
			return verdict{"Failed", err.Error()}, nil
		}
		return verdict{Status: "Current"}, nil
	case "flux-prune":
		options := ssa.DefaultDeleteOptions()
		options.Inclusions = manager.GetOwnerLabels("tested", "flux-system")
		changes, err := manager.DeleteAll(ctx, one.Objects, options)
		return actions(changes), err
	}
	return nil, fmt.Errorf("Flux does not %s", one.Ask)
}

func actions(changes *ssa.ChangeSet) map[string]string {
	done := map[string]string{}
	if changes != nil {
		for _, change := range changes.Entries {
			done[change.Subject] = string(change.Action)
		}
	}
	return done
}
