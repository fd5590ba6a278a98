// What Argo CD, Flux and kstatus make of our objects, asked from their own libraries: one JSON request a line on stdin,
// one JSON answer a line on stdout. Flux's and Argo CD's differences are asked of the API server of -kubeconfig.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type request struct {
	Ask     string                       `json:"ask"`
	Objects []*unstructured.Unstructured `json:"objects"`
	Lua     string                       `json:"lua"`     // argo-health: the script of a health customization
	Manager string                       `json:"manager"` // argo-diff: the field manager of a server-side apply
	Seconds int                          `json:"seconds"` // flux-wait: for how long
}

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "of the cluster whose differences are asked for")
	flag.Parse()
	asked := bufio.NewScanner(os.Stdin)
	asked.Buffer(nil, 64<<20)
	told := json.NewEncoder(os.Stdout)
	cluster := &cluster{kubeconfig: *kubeconfig}
	for asked.Scan() {
		var one request
		answer := map[string]any{}
		err := json.Unmarshal(asked.Bytes(), &one)
		if err == nil {
			var said any
			if said, err = serve(context.Background(), cluster, one); err == nil {
				answer["answer"] = said
			}
		}
		if err != nil {
			answer["error"] = err.Error()
		}
		if err := told.Encode(answer); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func serve(ctx context.Context, on *cluster, one request) (any, error) {
	switch one.Ask {
	case "kstatus":
		return each(one.Objects, func(object *unstructured.Unstructured) (verdict, error) {
			found, err := status.Compute(object)
			if err != nil {
				return verdict{}, err
			}
			return verdict{string(found.Status), found.Message}, nil
		})
	case "argo-health":
		return each(one.Objects, func(object *unstructured.Unstructured) (verdict, error) {
			return argoHealth(object, one.Lua)
		})
	case "argo-diff":
		return argoDiff(ctx, on, one.Objects, one.Manager)
	case "flux-apply", "flux-diff", "flux-wait", "flux-prune":
		return fluxDo(ctx, on, one)
	}
	return nil, fmt.Errorf("nobody knows %q", one.Ask)
}

func each[T any](objects []*unstructured.Unstructured, ask func(*unstructured.Unstructured) (T, error)) ([]T, error) {
	var said []T
	for _, object := range objects {
		one, err := ask(object)
		if err != nil {
			return nil, err
		}
		said = append(said, one)
	}
	return said, nil
}
