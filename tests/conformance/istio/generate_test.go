// What Istio's own control plane makes of deploy/mesh for an ingress gateway, as a fixture for tests that run it in Envoy.
//
//	cd tests/conformance/istio && go test -run TestGenerate .
//
// It compiles Istio's control plane, for ten minutes on two cores, and writes tests/gateway/istio_generated.json.
package istio

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/mesh"
)

const (
	examples = "../../../deploy/mesh/"
	fixture  = "../../gateway/istio_generated.json"
	// What a bank has beside it: the gateway's listener, and a service.
	beside = `
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bank, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls:
      mode: OPTIONAL_MUTUAL
      serverCertificate: /etc/istio/server.pem
      privateKey: /etc/istio/server.key
      caCertificates: /etc/istio/callers-ca.pem
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: accounts, namespace: bank}
spec:
  hosts: [accounts.bank.svc.cluster.local]
  resolution: DNS
  ports:
  - {number: 8080, name: http, protocol: HTTP}
`
)

type generated struct {
	MadeFrom  string            `json:"made_from"` // SHA-256 of the two files, one after the other
	Listeners []json.RawMessage `json:"listeners"`
	Routes    []json.RawMessage `json:"routes"`
	Clusters  []json.RawMessage `json:"clusters"`
}

func TestGenerate(t *testing.T) {
	settings, resources := read(t, "istio-mesh.yaml"), read(t, "istio.yaml")
	config, err := mesh.ApplyMeshConfig(string(settings), mesh.DefaultMeshConfig())
	if err != nil {
		t.Fatal(err)
	}
	server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{ConfigString: string(resources) + beside, MeshConfig: config})
	labels := map[string]string{"istio": "ingressgateway"}
	proxy := server.SetupProxy(&model.Proxy{
		Type: model.Router, Labels: labels, ConfigNamespace: "istio-system",
		Metadata: &model.NodeMetadata{Namespace: "istio-system", Labels: labels},
	})
	digest := sha256.Sum256(append(settings, resources...))
	made := generated{MadeFrom: hex.EncodeToString(digest[:])}
	for _, listener := range server.Listeners(proxy) {
		made.Listeners = append(made.Listeners, encoded(t, listener))
	}
	for _, route := range server.Routes(proxy) {
		made.Routes = append(made.Routes, encoded(t, route))
	}
	for _, cluster := range server.Clusters(proxy) {
		if strings.HasPrefix(cluster.Name, "outbound|") {
			made.Clusters = append(made.Clusters, encoded(t, cluster))
		}
	}
	text, err := json.MarshalIndent(made, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fixture, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) []byte {
	content, err := os.ReadFile(examples + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func encoded(t *testing.T, message proto.Message) json.RawMessage {
	text, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
