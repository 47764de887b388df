// A service on net/http, for tests: files of a folder, and an echo of the request's target. Each request becomes a line
// of JSON on standard output before it is answered. The first line is the port.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
)

type seen struct {
	Target      string   `json:"target"`
	Status      int      `json:"status"`
	File        string   `json:"file"`
	Caller      string   `json:"caller"`
	Transaction []string `json:"transaction"`
	Trailers    []string `json:"trailers"`
}

type recorded struct {
	http.ResponseWriter
	request *http.Request
	written bool
}

var (
	lock  sync.Mutex
	lines = json.NewEncoder(os.Stdout)
)

func (r *recorded) WriteHeader(status int) {
	if !r.written {
		r.written = true
		r.record(status)
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorded) Write(content []byte) (int, error) {
	if !r.written {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(content)
}

func (r *recorded) record(status int) {
	request := r.request
	one := seen{
		Target:      request.RequestURI,
		Status:      status,
		Caller:      request.Header.Get("x-caller"),
		Transaction: request.Header.Values("txn-token"),
	}
	for name, values := range request.Trailer {
		if len(values) > 0 { // else it was announced, and never came
			one.Trailers = append(one.Trailers, name)
		}
	}
	if status == http.StatusOK && !echoes(request) {
		one.File = path.Clean(request.URL.Path)
	}
	lock.Lock()
	defer lock.Unlock()
	lines.Encode(one)
}

func echoes(request *http.Request) bool { return strings.Contains(request.RequestURI, "/echo/") }

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	files := http.FileServer(http.Dir(os.Args[1]))
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Protocols: &protocols, Handler: http.HandlerFunc(
		func(writer http.ResponseWriter, request *http.Request) {
			answer := &recorded{ResponseWriter: writer, request: request}
			if !echoes(request) {
				files.ServeHTTP(answer, request)
				return
			}
			io.Copy(io.Discard, request.Body)
			answer.WriteHeader(http.StatusOK)
			io.WriteString(answer, request.RequestURI)
		})}
	server.Serve(listener)
}
