// Command opa-ext-authz answers Envoy's envoy.service.auth.v3.Authorization with a prepared query of OPA's engine, as
// opa-envoy-plugin does, for a machine where that cannot be had. It makes less of each request than the plugin does.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"
	"strings"
	"sync"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoy "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

type server struct {
	auth.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
	mutex sync.Mutex
	log   *json.Encoder // nil: decisions are not logged
}

// Check is envoy.service.auth.v3.Authorization/Check. An error refuses: Envoy's failure_mode_allow is off.
func (s *server) Check(ctx context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	input := document(request.GetAttributes().GetRequest().GetHttp())
	value, err := ast.InterfaceToValue(input)
	if err != nil {
		return nil, err
	}
	results, err := s.query.Eval(ctx, rego.EvalParsedInput(value))
	if err != nil {
		return nil, err
	}
	allowed := results.Allowed()
	s.logged(input, allowed)
	if allowed {
		return &auth.CheckResponse{Status: &status.Status{Code: int32(codes.OK)}}, nil
	}
	denied := &auth.DeniedHttpResponse{Status: &envoy.HttpStatus{Code: envoy.StatusCode_Forbidden}}
	return &auth.CheckResponse{
		Status:       &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}, nil
}

// document is the part of the plugin's input that the policy reads.
func document(http *auth.AttributeContext_HttpRequest) map[string]any {
	headers := make(map[string]any, len(http.GetHeaders()))
	for name, value := range http.GetHeaders() {
		headers[name] = value
	}
	for _, header := range http.GetHeaderMap().GetHeaders() {
		headers[header.GetKey()] = text(header)
	}
	path, _, _ := strings.Cut(http.GetPath(), "?")
	asked := map[string]any{"method": http.GetMethod(), "path": http.GetPath(), "headers": headers}
	return map[string]any{
		"attributes":  map[string]any{"request": map[string]any{"http": asked}},
		"parsed_path": strings.Split(strings.TrimLeft(path, "/"), "/"),
	}
}

func text(header *core.HeaderValue) string {
	if raw := header.GetRawValue(); raw != nil {
		return string(raw)
	}
	return header.GetValue()
}

func (s *server) logged(input map[string]any, allowed bool) {
	if s.log == nil {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.log.Encode(map[string]any{"input": input, "result": allowed}); err != nil {
		log.Fatal(err)
	}
}

func main() {
	socket := flag.String("socket", "", "where Envoy asks")
	query := flag.String("query", "data.envoy.authz.allow", "what must be true")
	logs := flag.Bool("log", false, "write each decision to standard output")
	flag.Parse()
	prepared, err := rego.New(rego.Query(*query), rego.Load(flag.Args(), nil)).PrepareForEval(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	answering := &server{query: prepared}
	if *logs {
		answering.log = json.NewEncoder(os.Stdout)
	}
	serving := grpc.NewServer()
	auth.RegisterAuthorizationServer(serving, answering)
	log.Fatal(serving.Serve(listener))
}
