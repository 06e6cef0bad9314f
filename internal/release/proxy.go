package main

import (
	"context"
	"path/filepath"
	"strings"
)

// fileURL returns the URL of a path.
func fileURL(p string) string {
	p = filepath.ToSlash(p)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive of Windows
	}
	return "file://" + p
}

// downloads returns, as a module proxy, what a module cache has: the go command keeps it in the
// layout of a proxy.
func downloads(cache string) string { return fileURL(filepath.Join(cache, "cache", "download")) }

// thirdParty returns where the modules of others come from: the user's module cache, then the
// user's proxies.
func thirdParty(ctx context.Context) (string, error) {
	var env struct{ GOMODCACHE, GOPROXY string }
	if err := goJSON(ctx, ".", &env, "env", "-json", "GOMODCACHE", "GOPROXY"); err != nil {
		return "", err
	}
	return downloads(env.GOMODCACHE) + "," + env.GOPROXY, nil
}

// fetchTags puts modules of the clone, at the tags of the version, into a module cache, which then
// is a proxy that has them. The go command fetches them from the clone in place of the repository
// on the network. So the rules for tags, for what a zip file contains and for sums are the go
// command's own, as they are when a public proxy fetches a release.
func fetchTags(ctx context.Context, clone repository, root, version, cache string, modules ...module) error {
	direct := &environment{cache: cache, proxy: "direct", more: []string{
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + fileURL(clone.dir) + ".insteadOf", "GIT_CONFIG_VALUE_0=https://" + root,
	}}
	args := []string{"mod", "download"}
	for i := range modules {
		args = append(args, modules[i].path+"@"+version)
	}
	_, err := direct.run(ctx, filepath.Dir(cache), args...) // a folder without a go.mod
	return err
}
