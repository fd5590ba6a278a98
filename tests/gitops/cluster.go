package main

import (
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cluster is connected to once somebody asks for what only an API server knows.
type cluster struct {
	kubeconfig string
	rest       *rest.Config
	client     client.Client
}

func (on *cluster) connect() error {
	if on.rest != nil {
		return nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", on.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, -1
	if on.client, err = client.New(config, client.Options{}); err != nil {
		return err
	}
	on.rest = config
	return nil
}
