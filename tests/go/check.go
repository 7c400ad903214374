// Go's gRPC client against a running sluiced: check ADDRESS. The bucket b1 of u1 must be open. Prints a line for each
// thing that holds; the exit code is 1 at the first that does not. Messages are written by hand, so that no generated
// code is needed.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Messages as they lie on the wire.
type rawCodec struct{}

func (rawCodec) Marshal(v interface{}) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v interface{}) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

func text(number int, value string) []byte {
	out := []byte{byte(number<<3 | 2)}
	for size := len(value); ; size >>= 7 {
		if size < 0x80 {
			out = append(out, byte(size))
			break
		}
		out = append(out, byte(size&0x7f|0x80))
	}
	return append(out, value...)
}

// A CheckRequest: u1 downloads k of b1.
func question(id string, more ...[]byte) []byte {
	parts := append([][]byte{text(1, id), {2 << 3, 2}, text(3, "u1"), text(5, "b1"), text(6, "k")}, more...)
	return bytes.Join(parts, nil)
}

// The beginning of the CheckResponse that allows it.
func allowed(id string) []byte { return append(text(1, id), 2<<3, 1) }

func holds(what string, err error) {
	if err != nil {
		log.Fatalf("not so: %s: %v", what, err)
	}
	fmt.Println("ok:", what)
}

func wantCode(err error, code codes.Code) error {
	if status.Code(err) != code {
		return fmt.Errorf("wanted %v, got %v", code, err)
	}
	return nil
}

const service = "/sluice.v1.Enforcement/"

func main() {
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure(), grpc.WithBlock(), grpc.WithTimeout(20*time.Second),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		log.Fatal(err)
	}
	soon, done := context.WithTimeout(context.Background(), 60*time.Second)
	defer done()
	ask := func(ctx context.Context, method string, request []byte) ([]byte, error) {
		var answer []byte
		return answer, connection.Invoke(ctx, service+method, &request, &answer)
	}

	holds("a thousand calls at once each get their own answer", func() error {
		var group sync.WaitGroup
		wrong := make(chan error, 1000)
		for i := 0; i < 1000; i++ {
			group.Add(1)
			go func(id string) {
				defer group.Done()
				request := question(id)
				var answer []byte
				if err := connection.Invoke(soon, service+"Check", &request, &answer); err != nil {
					wrong <- err
				} else if !bytes.HasPrefix(answer, allowed(id)) {
					wrong <- fmt.Errorf("%s got %q", id, answer)
				}
			}(fmt.Sprint(i))
		}
		group.Wait()
		close(wrong)
		return <-wrong
	}())

	var batch []byte
	for i := 0; i < 1024; i++ {
		batch = append(batch, text(1, string(question("b")))...)
	}
	_, err = ask(soon, "CheckBatch", batch)
	holds("a batch of 1,024", err)
	_, err = ask(soon, "CheckBatch", text(1, string(question("b", text(10, strings.Repeat("x", 20<<20))))))
	holds("a message over the bound", wantCode(err, codes.ResourceExhausted))
	_, err = ask(soon, "Check", question("w", text(11, "x")))
	holds("a wrong request is told which field", func() error {
		if !strings.Contains(fmt.Sprint(err), "client_ip") {
			return fmt.Errorf("got %v", err)
		}
		return wantCode(err, codes.InvalidArgument)
	}())

	past, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	_, err = ask(past, "Check", question("late"))
	holds("a deadline that has passed", wantCode(err, codes.DeadlineExceeded))

	holds("a stream of 2,000 in order, and then its end", func() error {
		stream, err := connection.NewStream(soon, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, service+"CheckStream")
		if err != nil {
			return err
		}
		go func() {
			for i := 0; i < 2000; i++ {
				request := question(fmt.Sprint(i))
				stream.SendMsg(&request)
			}
			stream.CloseSend()
		}()
		for i := 0; ; i++ {
			var answer []byte
			if err := stream.RecvMsg(&answer); err == io.EOF {
				if i != 2000 {
					return fmt.Errorf("ended after %d", i)
				}
				return nil
			} else if err != nil {
				return err
			}
			if !bytes.HasPrefix(answer, allowed(fmt.Sprint(i))) {
				return fmt.Errorf("number %d got %q", i, answer)
			}
		}
	}())

	holds("calls that are cancelled", func() error {
		for i := 0; i < 200; i++ {
			ctx, cancel := context.WithCancel(soon)
			stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, service+"CheckStream")
			if err != nil {
				return err
			}
			request := question("c")
			stream.SendMsg(&request)
			cancel()
		}
		_, err := ask(soon, "Check", question("after"))
		return err
	}())
}
