// A stand-in for the Ascend device plugin, for machines without NPUs.
//
// It speaks the kubelet's device plugin API v1beta1 as the real one does when the Ascend Docker runtime is
// in use: it offers -devices devices under -resource, reports their health from a file, and answers Allocate
// with ASCEND_VISIBLE_DEVICES and with device nodes that are backed by /dev/null.
// The health file holds the numbers of unhealthy devices, separated by spaces or new lines; an absent or
// empty file means that all are healthy. It registers again when the kubelet makes its socket anew.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const pollEvery = 500 * time.Millisecond

type plugin struct {
	api.UnimplementedDevicePluginServer
	resource   string
	prefix     string
	count      int
	healthFile string
}

func main() {
	var p plugin
	flag.StringVar(&p.resource, "resource", "huawei.com/Ascend910", "extended resource to offer")
	flag.IntVar(&p.count, "devices", 8, "how many devices")
	flag.StringVar(&p.healthFile, "health-file", "", "file with the numbers of unhealthy devices")
	directory := flag.String("directory", "/var/lib/kubelet/device-plugins", "the kubelet's socket directory")
	flag.Parse()
	p.prefix = filepath.Base(p.resource)
	for {
		if err := p.serveUntilKubeletRestarts(*directory); err != nil {
			log.Printf("%v; trying again", err)
		}
		time.Sleep(pollEvery)
	}
}

// serveUntilKubeletRestarts registers with the kubelet of now and returns when its socket is another one.
func (p *plugin) serveUntilKubeletRestarts(directory string) error {
	kubelet := filepath.Join(directory, "kubelet.sock")
	generation := identity(kubelet)
	if generation == 0 {
		return fmt.Errorf("no kubelet at %s yet", kubelet)
	}
	name := strings.ReplaceAll(p.resource, "/", "-") + ".sock"
	own := filepath.Join(directory, name)
	_ = os.Remove(own)
	listener, err := net.Listen("unix", own)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, p)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	if err := p.register(kubelet, name); err != nil {
		return err
	}
	log.Printf("registered %d devices as %s", p.count, p.resource)
	for identity(kubelet) == generation && identity(own) != 0 { // a starting kubelet empties the directory
		time.Sleep(pollEvery)
	}
	return fmt.Errorf("the kubelet restarted")
}

// identity tells one socket file from the next: its inode and when it was made, zero without a file.
func identity(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return int64(info.Sys().(*syscall.Stat_t).Ino) ^ info.ModTime().UnixNano()
}

func (p *plugin) register(kubelet, endpoint string) error {
	connection, err := grpc.NewClient("unix://"+kubelet, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: endpoint, ResourceName: p.resource}
	_, err = api.NewRegistrationClient(connection).Register(ctx, request)
	return err
}

// devices is what the kubelet should know now.
func (p *plugin) devices() []*api.Device {
	content, _ := os.ReadFile(p.healthFile)
	unhealthy := map[string]bool{}
	for _, number := range strings.Fields(string(content)) {
		unhealthy[number] = true
	}
	devices := make([]*api.Device, p.count)
	for i := range devices {
		health := api.Healthy
		if unhealthy[fmt.Sprint(i)] {
			health = api.Unhealthy
		}
		devices[i] = &api.Device{ID: fmt.Sprintf("%s-%d", p.prefix, i), Health: health}
	}
	return devices
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	last := ""
	for {
		devices := p.devices()
		if now := fmt.Sprint(devices); now != last {
			if err := stream.Send(&api.ListAndWatchResponse{Devices: devices}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-time.After(pollEvery):
		}
	}
}

func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		answer := &api.ContainerAllocateResponse{}
		numbers := make([]string, len(container.DevicesIds))
		for i, id := range container.DevicesIds {
			numbers[i] = strings.TrimPrefix(id, p.prefix+"-")
			answer.Devices = append(answer.Devices, nullDevice("davinci"+numbers[i]))
		}
		for _, shared := range []string{"davinci_manager", "devmm_svm", "hisi_hdc"} {
			answer.Devices = append(answer.Devices, nullDevice(shared))
		}
		answer.Envs = map[string]string{
			"ASCEND_VISIBLE_DEVICES": strings.Join(numbers, ","),
			"ASCEND_RUNTIME_OPTIONS": "",
		}
		response.ContainerResponses = append(response.ContainerResponses, answer)
	}
	return response, nil
}

func nullDevice(name string) *api.DeviceSpec {
	return &api.DeviceSpec{HostPath: "/dev/null", ContainerPath: "/dev/" + name, Permissions: "rw"}
}
