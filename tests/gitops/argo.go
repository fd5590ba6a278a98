package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// customization runs a health script as Argo CD does: base and table libraries only, the object as the global `obj`.
// Argo CD's own util/lua would bring its whole API server with it.
type customization string

func (script customization) GetResourceHealth(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	if script == "" {
		return nil, nil
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(string(script)); err != nil {
		return nil, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("the script returned a %s and no table", state.Get(-1).Type())
	}
	said := &health.HealthStatus{
		Status:  health.HealthStatusCode(lua.LVAsString(table.RawGetString("status"))),
		Message: lua.LVAsString(table.RawGetString("message")),
	}
	switch said.Status {
	case health.HealthStatusHealthy, health.HealthStatusProgressing, health.HealthStatusDegraded,
		health.HealthStatusSuspended, health.HealthStatusMissing, health.HealthStatusUnknown:
		return said, nil
	}
	return nil, fmt.Errorf("Argo CD knows no health %q", said.Status)
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		list := state.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

func argoHealth(object *unstructured.Unstructured, script string) (verdict, error) {
	found, err := health.GetResourceHealth(object, customization(script))
	if err != nil {
		return verdict{}, err
	}
	if found == nil { // a kind without health counts as healthy
		return verdict{}, nil
	}
	return verdict{string(found.Status), found.Message}, nil
}

// argoDiff tells how live objects would be changed by manifests; without a manager, as a client-side sync compares.
func argoDiff(ctx context.Context, on *cluster, desired []*unstructured.Unstructured, manager string) (any, error) {
	if err := on.connect(); err != nil {
		return nil, err
	}
	var options []diff.Option
	if manager != "" {
		_, parser, err := (&kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}).LoadOpenAPISchema(on.rest)
		if err != nil {
			return nil, err
		}
		options = []diff.Option{
			diff.WithServerSideDiff(true),
			diff.WithManager(manager),
			diff.WithGVKParser(parser),
			diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(dryRun{on.client})),
		}
	}
	return each(desired, func(object *unstructured.Unstructured) (any, error) {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(object.GroupVersionKind())
		if err := on.client.Get(ctx, client.ObjectKeyFromObject(object), live); err != nil {
			return nil, err
		}
		found, err := diff.Diff(object.DeepCopy(), live, options...)
		if err != nil {
			return nil, err
		}
		return map[string]any{
			"modified":  found.Modified,
			"predicted": json.RawMessage(found.PredictedLive),
			"live":      json.RawMessage(found.NormalizedLive),
		}, nil
	})
}

// dryRun is the server-side apply that Argo CD's comparison asks for.
type dryRun struct{ client client.Client }

func (dry dryRun) ApplyResource(
	ctx context.Context, object *unstructured.Unstructured, how cmdutil.DryRunStrategy, _, _, _ bool, manager string,
) (string, error) {
	if how != cmdutil.DryRunServer {
		return "", errors.New("only a dry run is asked for")
	}
	body, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	answer := object.DeepCopy()
	options := []client.PatchOption{client.FieldOwner(manager), client.DryRunAll, client.ForceOwnership}
	if err := dry.client.Patch(ctx, answer, client.RawPatch(types.ApplyPatchType, body), options...); err != nil {
		return "", err
	}
	text, err := json.Marshal(answer)
	return string(text), err
}
