// Makes the calls of a plan with Debian's grpc and generated code.
//
// The plan is JSON on the standard input (Plan in plan.ts). Each outcome is a
// line of JSON on the standard output.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	_ "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	_ "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "stellar-net/stellar/net/v1"
	_ "stellar-net/stellar/services/network/v1"
)

type identity struct{ CaPath, CertPath, KeyPath string }

type situation struct {
	Name, Call, As, Stream string
	Request                json.RawMessage
	Raw                    *[]byte
	TimeoutMs              int
	CancelAfterMs          *int
	PauseMs                int
	Gzip                   bool
}

type plan struct {
	Plain, Tls string
	Identities map[string]identity
	Situations []situation
}

type outcome struct {
	Code    string          `json:"code"`
	Message string          `json:"message,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Field   string          `json:"field,omitempty"`
}

type line struct {
	Name    string   `json:"name"`
	IsOpen  bool     `json:"isOpen,omitempty"`
	Outcome *outcome `json:"outcome,omitempty"`
}

// Messages pass as bytes: a plan has some that are none.
type bytesCodec struct{}

func (bytesCodec) Name() string                          { return "proto" }
func (bytesCodec) Marshal(v interface{}) ([]byte, error) { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, v interface{}) error {
	*v.(*[]byte) = data
	return nil
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func read(path string) []byte {
	bytes, err := os.ReadFile(path)
	must(err)
	return bytes
}

func dial(p plan, who string) *grpc.ClientConn {
	options := []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})),
		// The library makes it 10 s.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Second, PermitWithoutStream: true}),
	}
	if who == "plain" {
		connection, err := grpc.Dial(p.Plain, append(options, grpc.WithInsecure())...)
		must(err)
		return connection
	}
	shown := p.Identities[who]
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read(shown.CaPath))
	config := &tls.Config{RootCAs: roots}
	if shown.CertPath != "" {
		pair, err := tls.LoadX509KeyPair(shown.CertPath, shown.KeyPath)
		must(err)
		config.Certificates = []tls.Certificate{pair}
	}
	credentials := grpc.WithTransportCredentials(credentials.NewTLS(config))
	connection, err := grpc.Dial(p.Tls, append(options, credentials)...)
	must(err)
	return connection
}

func typesOf(call string) protoreflect.MethodDescriptor {
	parts := strings.SplitN(call, "/", 2)
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(parts[0]))
	if err != nil {
		return nil
	}
	return found.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(parts[1]))
}

func create(descriptor protoreflect.MessageDescriptor) proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	must(err)
	return kind.New().Interface()
}

func names(code codes.Code) string {
	bytes, err := json.Marshal(code.String())
	must(err)
	name := strings.Trim(string(bytes), `"`)
	upper := ""
	for i, letter := range name {
		if i > 0 && letter >= 'A' && letter <= 'Z' && name != "OK" {
			upper += "_"
		}
		upper += strings.ToUpper(string(letter))
	}
	return upper
}

func outcomeOf(err error, answer []byte, method protoreflect.MethodDescriptor) *outcome {
	if err == nil {
		result := &outcome{Code: "OK"}
		if method != nil {
			message := create(method.Output())
			must(proto.Unmarshal(answer, message))
			text, err := protojson.Marshal(message)
			must(err)
			result.Answer = text
		}
		return result
	}
	failure := status.Convert(err)
	result := &outcome{Code: names(failure.Code()), Message: failure.Message()}
	for _, detail := range failure.Details() {
		switch found := detail.(type) {
		case *errdetails.ErrorInfo:
			result.Reason = found.Reason
		case *errdetails.BadRequest:
			result.Field = found.FieldViolations[0].Field
		}
	}
	return result
}

func requestOf(s situation, method protoreflect.MethodDescriptor) []byte {
	if s.Raw != nil {
		return *s.Raw
	}
	if method == nil {
		return nil
	}
	message := create(method.Input())
	if s.Request != nil {
		must(protojson.Unmarshal(s.Request, message))
	}
	bytes, err := proto.Marshal(message)
	must(err)
	return bytes
}

func call(connection *grpc.ClientConn, s situation, write func(line)) *outcome {
	method := typesOf(s.Call)
	request := requestOf(s, method)
	timeout := 20 * time.Second
	if s.TimeoutMs > 0 {
		timeout = time.Duration(s.TimeoutMs) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if s.CancelAfterMs != nil {
		time.AfterFunc(time.Duration(*s.CancelAfterMs)*time.Millisecond, cancel)
	}
	var options []grpc.CallOption
	if s.Gzip {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	var answer []byte
	if s.Stream == "" {
		err := connection.Invoke(ctx, "/"+s.Call, &request, &answer, options...)
		return outcomeOf(err, answer, method)
	}
	kind := &grpc.StreamDesc{ServerStreams: true, ClientStreams: s.Stream == "bidi"}
	stream, err := connection.NewStream(ctx, kind, "/"+s.Call, options...)
	if err != nil {
		return outcomeOf(err, nil, method)
	}
	if err := stream.SendMsg(&request); err != nil && !errors.Is(err, io.EOF) {
		return outcomeOf(err, nil, method)
	}
	must(stream.CloseSend())
	for count := 0; ; count++ {
		var message []byte
		if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
			return outcomeOf(nil, answer, method)
		} else if err != nil {
			return outcomeOf(err, nil, method)
		}
		if count > 0 {
			continue
		}
		answer = message
		if s.Stream == "first" {
			return outcomeOf(nil, answer, method)
		}
		if s.Stream == "until it ends" {
			write(line{Name: s.Name, IsOpen: true})
		}
	}
}

func main() {
	var p plan
	must(json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&p))
	out := json.NewEncoder(os.Stdout)
	var lock sync.Mutex
	write := func(l line) {
		lock.Lock()
		defer lock.Unlock()
		must(out.Encode(l))
	}
	connections := map[string]*grpc.ClientConn{}
	// Streams that are read until they end are open together.
	var open sync.WaitGroup
	defer open.Wait()
	for _, s := range p.Situations {
		if connections[s.As] == nil {
			connections[s.As] = dial(p, s.As)
		}
		time.Sleep(time.Duration(s.PauseMs) * time.Millisecond)
		connection, s := connections[s.As], s
		report := func() { write(line{Name: s.Name, Outcome: call(connection, s, write)}) }
		if s.Stream != "until it ends" {
			report()
			continue
		}
		open.Add(1)
		go func() {
			defer open.Done()
			report()
		}()
	}
}
