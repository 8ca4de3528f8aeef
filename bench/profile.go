package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// profileTime is how long each profile is.
const profileTime = 5 * time.Second

// profile writes CPU profiles of cached and uncached requests with RS256 into a folder, for `go tool pprof -top`.
func profile(folder string) error {
	s, err := newScene("RS256")
	if err != nil {
		return err
	}
	for name, c := range map[string]caching{"cached.prof": cached, "uncached.prof": uncached} {
		auth, err := newAuth(s, c)
		if err != nil {
			return err
		}
		file, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		one := subject{name, passes(auth.Handler(http.HandlerFunc(protected)), s.token)}
		n := calibrate(one, profileTime)
		err = pprof.StartCPUProfile(file)
		if err == nil {
			one.run(n)
			pprof.StopCPUProfile()
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}
