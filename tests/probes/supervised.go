// Fetches a page so many times at once; serves one page to itself first if it is told to.
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
	count, _ := strconv.Atoi(os.Args[2])
	var group sync.WaitGroup
	var lock sync.Mutex
	pages := map[string]int{}
	for i := 0; i < count; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			page := fetch(os.Args[1])
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
