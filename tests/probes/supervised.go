// Fetches a page so many times at once. With `serve` the page is its own, of a server on localhost; with `get`,
// which git gives a credential helper, it is printed as a user's name.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

func main() {
	url, what := os.Args[1], os.Args[len(os.Args)-1]
	if what == "serve" {
		url = serve()
	}
	if what == "get" {
		fmt.Printf("username=%spassword=x\n", fetch(url))
		return
	}
	count, _ := strconv.Atoi(os.Args[2])
	var group sync.WaitGroup
	var lock sync.Mutex
	pages := map[string]int{}
	for i := 0; i < count; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			page := fetch(url)
			lock.Lock()
			pages[page]++
			lock.Unlock()
		}()
	}
	group.Wait()
	for page, times := range pages {
		fmt.Println(times, page)
	}
	if listener, err := net.Listen("tcp", "198.51.100.9:80"); err == nil {
		fmt.Println("listens on", listener.Addr())
	}
}

func serve() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(answer, "served")
	}))
	return "http://" + listener.Addr().String()
}

func fetch(url string) string {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return string(body)
}
