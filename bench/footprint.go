package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// footprint measures an idle server: memory, time to ready, size of the binary.
func footprint(ctx context.Context, e *env) error {
	if err := e.restart(ctx); err != nil { // the first start makes keys and accounts
		return err
	}
	e.record(metric{name: "start to ready", unit: "ms", less: true, limit: 100, value: e.ready.Seconds() * 1000})
	time.Sleep(2 * time.Second)
	e.record(metric{name: "idle memory (PSS)", unit: "MiB", less: true, limit: 30, value: float64(e.usage().pss) / (1 << 20)})
	if info, err := os.Stat(e.opt.facteur); err == nil && e.server.name() == "facteur" {
		e.record(metric{name: "binary", unit: "MiB", less: true, value: float64(info.Size()) / (1 << 20)})
	}
	return nil
}

// durability counts the syncs of 100 messages, sent one by one on one connection and on ten.
func durability(ctx context.Context, e *env) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		fmt.Println("# no strace here: the syncs are not counted")
		return nil
	}
	for _, conns := range []int{1, 10} {
		trace := filepath.Join(e.dir, fmt.Sprintf("syncs-%d", conns))
		args := []string{"-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs", "-o", trace}
		for _, pid := range tree(e.cmd.Process.Pid, 99) {
			args = append(args, "-p", fmt.Sprint(pid))
		}
		tracer := exec.CommandContext(ctx, strace, args...)
		if err := tracer.Start(); err != nil {
			return err
		}
		time.Sleep(time.Second)
		l := load{addr: e.server.addresses().mx, conns: conns, total: 100, from: "writer@sender.test", to: user,
			message: pregenerate(corpus{10 << 10}, 100, endOfData)}
		err := l.run(ctx)
		time.Sleep(2 * time.Second) // what is still under way behind the 250
		_ = tracer.Process.Signal(os.Interrupt)
		_ = tracer.Wait()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(trace)
		if err != nil {
			return err
		}
		for _, call := range []string{"fsync", "fdatasync"} {
			e.record(metric{name: fmt.Sprintf("%s a message, %d connections", call, conns), unit: "calls",
				less: true, value: float64(strings.Count(string(b), " "+call+"(")) / 100})
		}
	}
	return nil
}

// tree lists a process and those below it, down to so many levels.
func tree(pid, levels int) []int {
	list := []int{pid}
	if levels == 0 {
		return list
	}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, s := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(s); err == nil {
				list = append(list, tree(child, levels-1)...)
			}
		}
	}
	return list
}
