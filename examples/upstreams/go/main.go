// An upstream in Go: signals enters and exits to one job, and asks again until they are accepted.
//
//	go run . JOB enter|exit AUDIENCE USER AT      one trigger
//	go run . JOB < changes.ndjson                 many, one a line, in their order
//
// Temporal is found as the temporal command line finds it: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS…,
// TEMPORAL_PROFILE.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"google.golang.org/grpc/codes"
)

const (
	patience      = 5 * time.Minute
	signalBytes   = 64 * 1024 // Of JSON: what a job is made for.
	signalTimeout = 10 * time.Second
	maxLineBytes  = 1 << 20

	// A job without a worker takes signals until the server ends it, and loses all of them then. One with a worker is far below this.
	lookEverySignals = 64
	fullBytes        = 16 << 20
	fullEvents       = 9_000
)

// mayHelp tells whether asking again may mend it. InvalidArgument is also said for a run that has had all the signals it may have: the
// next one takes them.
func mayHelp(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.InvalidArgument, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted, codes.Internal,
		codes.Unavailable:
		return true
	}
	return false
}

// untilAccepted asks again after 0.1 s, doubling to 5 s. Asking twice is harmless, since a trigger has an "at": the job knows the repeat by it.
func untilAccepted(ask func(context.Context) error) error {
	deadline := time.Now().Add(patience)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		ctx, cancel := context.WithTimeout(context.Background(), signalTimeout)
		err := ask(ctx)
		cancel()
		if err == nil {
			return nil
		}
		code := serviceerror.ToStatus(err).Code()
		if !mayHelp(code) || time.Now().Add(pause).After(deadline) {
			return err
		}
		log.Printf("waiting for Temporal: %s", code)
		time.Sleep(pause)
	}
}

// job is one export job, and what it accepted. Signal from one goroutine: then a person's triggers arrive in this order.
type job struct {
	temporal   client.Client
	workflowID string
	accepted   int
	signals    int
}

func (j *job) signal(name string, argument any, count int) error {
	if j.signals%lookEverySignals == 0 {
		if err := j.untilThereIsRoom(); err != nil {
			return err
		}
	}
	err := untilAccepted(func(ctx context.Context) error {
		return j.temporal.SignalWorkflow(ctx, j.workflowID, "", name, argument)
	})
	if err != nil {
		return err
	}
	j.accepted += count
	j.signals++
	return nil
}

func (j *job) untilThereIsRoom() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		isFull := false
		err := untilAccepted(func(ctx context.Context) error {
			found, err := j.temporal.DescribeWorkflowExecution(ctx, j.workflowID, "")
			if err != nil {
				return err
			}
			info := found.GetWorkflowExecutionInfo()
			if info.GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
				return serviceerror.NewNotFound("it does not run any more")
			}
			isFull = info.GetHistorySizeBytes() > fullBytes || info.GetHistoryLength() > fullEvents
			return nil
		})
		if err != nil || !isFull {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not work off what it was signalled. Is a worker running?")
		}
		log.Print("waiting for the job to process what it has")
	}
}

type trigger struct {
	Audience string `json:"audience"`
	User     string `json:"user"` // Text: as a number it would lose digits.
	At       string `json:"at"`
}

// checked: a job drops what is no trigger. Better to hear of it here.
func checked(line []byte, number int) error {
	var t trigger
	if err := json.Unmarshal(line, &t); err != nil || t.Audience == "" || t.User == "" || t.At == "" {
		return fmt.Errorf("line %d: audience, user and at must be there, as text (a number would lose digits elsewhere)", number)
	}
	return nil
}

// readAhead closes its channel at the end of the input; what it says then is whether that was an error.
func readAhead(input io.Reader) (<-chan []byte, func() error) {
	lines := make(chan []byte, 2_000)
	scanner := bufio.NewScanner(input)
	scanner.Buffer(make([]byte, 0, signalBytes), maxLineBytes)
	go func() {
		defer close(lines)
		for scanner.Scan() {
			lines <- append([]byte(nil), scanner.Bytes()...)
		}
	}()
	return lines, scanner.Err
}

// signalAll sends triggers by up to 64 KiB. What has come meanwhile goes together, and nothing waits for more to come. The lines are passed
// on as they are, so that long numbers in profiles keep their digits.
func (j *job) signalAll(input io.Reader) error {
	lines, failure := readAhead(input)
	var batch []json.RawMessage
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := j.signal("triggers", batch, len(batch))
		batch, size = nil, 0
		return err
	}
	number := 0
	for line := range lines {
		number++
		if len(strings.TrimSpace(string(line))) == 0 {
			continue
		}
		err := checked(line, number)
		if err == nil && size+len(line)+1 > signalBytes {
			err = flush()
		}
		if err != nil {
			return err
		}
		batch, size = append(batch, line), size+len(line)+1
		if len(lines) == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return failure()
}

func main() {
	log.SetFlags(0)
	arguments := os.Args[1:]
	isOne := len(arguments) == 5 && (arguments[1] == "enter" || arguments[1] == "exit")
	if !isOne && len(arguments) != 1 {
		log.Fatal("upstream JOB enter|exit AUDIENCE USER AT, or upstream JOB < changes.ndjson")
	}
	options := envconfig.MustLoadDefaultClientOptions()
	temporal, err := client.NewLazyClient(options)
	if err != nil {
		log.Fatal(err)
	}
	defer temporal.Close()
	j := &job{temporal: temporal, workflowID: "export-job-" + arguments[0]}
	if isOne {
		err = j.signal(arguments[1], trigger{Audience: arguments[2], User: arguments[3], At: arguments[4]}, 1)
	} else {
		err = j.signalAll(os.Stdin)
	}
	if err != nil {
		log.Fatalf("%s: %v. Accepted: %d; send again from there.", j.workflowID, err, j.accepted)
	}
	fmt.Printf("%d accepted\n", j.accepted)
}
