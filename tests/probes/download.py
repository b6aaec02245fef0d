"""Downloads from N hosts in N threads at once; prints how many came whole."""

import sys
import threading
import urllib.request

COUNT = int(sys.argv[1])
SIZE = 100_000
EXPECTED = (bytes(range(256)) * (SIZE // 256 + 1))[:SIZE]
start = threading.Barrier(COUNT)
whole = []


def download(number):
    start.wait()
    with urllib.request.urlopen(f"http://n{number}.wild.test/bytes/{SIZE}", timeout=25) as reply:
        if reply.read() == EXPECTED:
            whole.append(number)


threads = [threading.Thread(target=download, args=(number,)) for number in range(COUNT)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"{len(whole)} of {COUNT}")
