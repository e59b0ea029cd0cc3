//go:build unix

package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program finds a program that the tests of the commands need.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	t.Fatalf("there is no %s here: make server installs it, from Debian's package %s", name, pkg)
	return ""
}

// eventually waits until a condition holds, and fails the test with what was there last if it never does.
func eventually(t *testing.T, what string, holds func() (string, bool)) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		text, ok := holds()
		if ok {
			return text
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: never, at last there was\n%s", what, text)
		}
	}
}

// An agentd is a running snmpd.
type agentd struct {
	*testing.T
	addr string
	mibs string
}

// startSNMPD starts the agent of Net-SNMP with a farm of its own.
func startSNMPD(t *testing.T, farm string) *agentd {
	t.Helper()
	snmpd, dir := program(t, "snmpd", "snmpd"), t.TempDir()
	program(t, "snmpget", "snmp")
	jobctl, err := exec.LookPath("jobctl")
	if err != nil {
		t.Fatal(err)
	}
	port, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &agentd{T: t, addr: "udp:" + port.LocalAddr().String(), mibs: dir}
	port.Close()
	conf := filepath.Join(dir, "snmpd.conf")
	text := fmt.Sprintf("rwcommunity public 127.0.0.1\npass_persist .1.3.6.1.4.1.8072.9999.9999.5627 %s snmp-pass --config %s\n", jobctl, farm)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	writeMIBs(t, dir)
	var log bytes.Buffer
	cmd := exec.Command(snmpd, "-f", "-Lo", "-C", "-c", conf, "-p", filepath.Join(dir, "pid"), a.addr)
	cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+dir, "MIBS=", "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Logf("snmpd: %v\n%s", err, log.String())
		}
	})
	eventually(t, "snmpd answers", func() (string, bool) {
		out, err := a.run("snmpget", "-Oqv", "JOBQUEUE-MIB::jobqueueStatus.0")
		return out, err == nil
	})
	return a
}

// writeMIBs writes what JOBQUEUE-MIB imports, of which Debian has no package that is free.
func writeMIBs(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string]string{
		"SNMPv2-SMI":         "enterprises OBJECT IDENTIFIER ::= { iso 3 6 1 4 1 }",
		"SNMPv2-CONF":        "",
		"SNMPv2-TC":          "",
		"SNMP-FRAMEWORK-MIB": "IMPORTS TEXTUAL-CONVENTION FROM SNMPv2-TC;\nSnmpAdminString ::= TEXTUAL-CONVENTION\nDISPLAY-HINT \"255t\"\nSTATUS current\nDESCRIPTION \"\"\nSYNTAX OCTET STRING (SIZE (0..255))",
	} {
		text = name + " DEFINITIONS ::= BEGIN\n" + text + "\nEND\n"
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mib, err := os.ReadFile(mibPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "JOBQUEUE-MIB.txt"), mib, 0o600); err != nil {
		t.Fatal(err)
	}
}

// mibPath is absolute, as tests change the directory.
var mibPath, _ = filepath.Abs("../deploy/snmp/JOBQUEUE-MIB.txt")

// run asks the agent with a program of Net-SNMP.
func (a *agentd) run(name string, args ...string) (string, error) {
	all := append([]string{"-v2c", "-c", "public", "-t", "5", "-r", "2", "-M", a.mibs, "-m", "JOBQUEUE-MIB"}, args[:1]...)
	all = append(append(all, a.addr), args[1:]...)
	out, err := exec.Command(name, all...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// says waits until an object has a value.
func (a *agentd) says(object, want string) {
	a.Helper()
	eventually(a.T, object+" is "+want, func() (string, bool) {
		out, _ := a.run("snmpget", "-OqvU", "JOBQUEUE-MIB::"+object)
		return out, out == want
	})
}

// The agent of Net-SNMP tells what is in the stores, follows the farm file, and says what it cannot know.
func TestSNMPD(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	farm := filepath.Join(dir, "farm.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(farm, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("jobctl", append(args, "--config", farm)...).CombinedOutput(); err != nil {
			t.Fatalf("jobctl %s: %v\n%s", args, err, out)
		}
	}
	write("backends: {main: {kind: sqlite, path: DIR/main.db}, other: {kind: sqlite, path: DIR/other.db}}\ndefault: {backend: main}\ntypes: {mail: {backend: other}}\n")
	run("push", "--type", "null")
	run("push", "--type", "null", "--domain", "dewiki", "--delay", "1h")
	run("push", "--type", "mail")
	run("push", "--type", "mail", "--domain", "dewiki")
	a := startSNMPD(t, farm)
	a.says("jobqueueStatus.0", "critical")
	a.says("jobqueueReady.0", "3")
	a.says("jobqueueDelayed.0", "1")
	a.says("jobqueueRunners.0", "0")
	a.says("jobqueueStoresAway.0", "0")
	a.says(`jobqueueTypeReady."mail"`, "2")
	a.says(`jobqueueTypeDelayed."null"`, "1")
	a.says(`jobqueueStoreReady."other"`, "2")
	a.says(`jobqueueStoreState."main"`, "up")
	a.says(`jobqueueTypeReady."none"`, "No Such Instance currently exists at this OID")
	text, err := a.run("snmpget", "-Oqv", "JOBQUEUE-MIB::jobqueueStatusText.0")
	if err != nil || !strings.Contains(text, "no live runner, of 0, runs ") {
		t.Errorf("jobqueueStatusText is %s, %v", text, err)
	}

	walk, err := a.run("snmpwalk", "-On", "JOBQUEUE-MIB::jobqueueMIB")
	// 15 totals, 8 of each store, 5 of each type.
	if lines := strings.Split(walk, "\n"); err != nil || len(lines) != 15+2*8+2*5 {
		t.Errorf("a walk finds %d values, want 41: %v\n%s", len(lines), err, walk)
	}
	if out, err := a.run("snmpset", "-Oqv", "JOBQUEUE-MIB::jobqueueReady.0", "u", "9"); err == nil || !strings.Contains(out, "ot writable") && !strings.Contains(out, "notWritable") {
		t.Errorf("snmpset = %s, %v, want that it is not writable", out, err)
	}

	// What is done meanwhile is seen.
	run("pause", "--all", "--reason", "x")
	a.says("jobqueueStatus.0", "ok")
	a.says("jobqueuePauses.0", "1")
	a.says("jobqueuePausedQueues.0", "3")
	run("delete", "--type", "mail")
	a.says("jobqueueReady.0", "1")

	// A mistake in the farm file is told, and the numbers go on; when it is gone all is well.
	write("backends: {main: {kind: nonsense}}\n")
	a.says("jobqueueStatus.0", "unknown")
	a.says("jobqueueReady.0", "1")
	write("backends: {main: {kind: sqlite, path: DIR/main.db}}\n")
	a.says("jobqueueStatus.0", "ok")
	a.says(`jobqueueStoreState."other"`, "No Such Instance currently exists at this OID")
}
