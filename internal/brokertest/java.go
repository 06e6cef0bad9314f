package brokertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	oldestJava  = 17 // that the brokers run on
	javaInstall = "apt-get install -y --no-install-recommends openjdk-17-jre-headless maven"
)

// fetchJars lets Maven put the jars of a broker, which the pom lists, into the folder libs of dir.
func fetchJars(ctx context.Context, dir, broker, pom string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("%w: Maven fetches %s, and mvn is not on the PATH; run: %s", ErrMissing, broker, javaInstall)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-ntp", "dependency:copy-dependencies", "-DincludeScope=runtime",
		"-DoutputDirectory="+filepath.Join(dir, "libs"))
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: Maven could not fetch %s (%w); once it can, run: make brokers\n%s",
			ErrMissing, broker, err, lastLines(string(out), logLines))
	}
	return nil
}

// classPath returns the jars that fetchJars has put into a folder, always in the same order: a
// class archive holds for one order only.
func classPath(dir string) (string, error) {
	jars, err := filepath.Glob(filepath.Join(dir, "libs", "*.jar"))
	if err != nil || len(jars) == 0 {
		return "", errors.Join(fmt.Errorf("no jar in %s: remove the folder and try again", dir), err)
	}
	slices.Sort(jars)
	return strings.Join(jars, string(os.PathListSeparator)), nil
}

// findJava returns the path and the version text of a Java that can run a broker, whose name is for
// errors.
func findJava(ctx context.Context, broker string) (path, version string, err error) {
	path, err = exec.LookPath("java")
	if home := os.Getenv("JAVA_HOME"); err != nil && home != "" {
		path, err = exec.LookPath(filepath.Join(home, "bin", "java"))
	}
	if err != nil {
		return "", "", fmt.Errorf("%w: %s needs Java %d, and java is not on the PATH; run: %s", ErrMissing, broker, oldestJava, javaInstall)
	}
	// macOS has a java that only says that there is none.
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%w: %s -version: %w\n%srun: %s", ErrMissing, path, err, out, javaInstall)
	}
	version = string(out)
	if m := regexp.MustCompile(`version "(\d+)`).FindStringSubmatch(version); m != nil {
		if major, _ := strconv.Atoi(m[1]); major < oldestJava {
			return "", "", fmt.Errorf("%w: %s needs Java %d, and %s is Java %d; run: %s", ErrMissing, broker, oldestJava, path, major, javaInstall)
		}
	}
	return path, version, nil
}
