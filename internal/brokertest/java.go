package brokertest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const oldestJava = 17 // that most brokers run on

// javaInstall returns the command that installs a Java, and Maven.
func javaInstall(oldest int) string {
	install := fmt.Sprintf("apt-get install -y --no-install-recommends openjdk-%d-jre-headless maven", oldest)
	if oldest > oldestJava {
		install += "; Debian 12 has no such Java: install one from elsewhere, and set " + JavaVariable + " to its folder"
	}
	return install
}

// fetchJars lets Maven put the jars of a broker, which the pom lists, into the folder libs of dir.
func fetchJars(ctx context.Context, dir, broker, pom string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("%w: Maven fetches %s, and mvn is not on the PATH; run: %s", ErrMissing, broker, javaInstall(oldestJava))
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

// JavaVariable names the environment variable with the folder of a Java for brokers that the one on
// the PATH is too old for.
const JavaVariable = "LEAT_JAVA_HOME"

// findJava returns the path and the version text of a Java that can run a broker, whose name is for
// errors: the one on the PATH, or that of JAVA_HOME. Where that is too old, that of LEAT_JAVA_HOME
// and others that the system has installed are looked at: of several versions the PATH has one.
func findJava(ctx context.Context, broker string, oldest int) (path, version string, err error) {
	path, err = exec.LookPath("java")
	if home := os.Getenv("JAVA_HOME"); err != nil && home != "" {
		path, err = exec.LookPath(filepath.Join(home, "bin", "java"))
	}
	if err != nil {
		return "", "", fmt.Errorf("%w: %s needs Java %d, and java is not on the PATH; run: %s", ErrMissing, broker, oldest, javaInstall(oldest))
	}
	version, major, err := javaVersion(ctx, path)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w\nrun: %s", ErrMissing, err, javaInstall(oldest))
	}
	if major >= oldest {
		return path, version, nil
	}
	others, _ := filepath.Glob("/usr/lib/jvm/*/bin/java") // fails for wrong patterns only
	for _, variable := range []string{"JAVA_HOME", JavaVariable} {
		if home := os.Getenv(variable); home != "" {
			others = append([]string{filepath.Join(home, "bin", "java")}, others...)
		}
	}
	for _, other := range others {
		if version, major, err := javaVersion(ctx, other); err == nil && major >= oldest {
			return other, version, nil
		}
	}
	return "", "", fmt.Errorf("%w: %s needs Java %d, and %s is Java %d; run: %s", ErrMissing, broker, oldest, path, major, javaInstall(oldest))
}

// javaVersion returns what a Java says of its version. The number is that of the newest where it
// says none.
func javaVersion(ctx context.Context, path string) (text string, major int, err error) {
	// macOS has a java that only says that there is none.
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return "", 0, fmt.Errorf("%s -version: %w\n%s", path, err, out)
	}
	major = math.MaxInt
	if m := regexp.MustCompile(`version "(\d+)`).FindSubmatch(out); m != nil {
		major, err = strconv.Atoi(string(m[1]))
	}
	return string(out), major, err
}
