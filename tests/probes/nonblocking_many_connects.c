/* nonblocking_many_connects COUNT WAIT ERROR: COUNT connects in flight at once, awaited by `epoll` or
 * `poll`. The proxy answers none before it has the requests of all. With ERROR 0 each connection must
 * lead to its own destination, whose port the proxy sends right behind its answer; otherwise each must
 * fail with that errno. Prints what it took. */
#include "nonblocking.h"

#include <sys/resource.h>

static int count, wanted, epoll;
static struct pollfd *entries;

static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static long memory(const char *what)
{
    char line[128];
    long kibibytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        if (strncmp(line, what, strlen(what)) == 0)
            kibibytes = atol(line + strlen(what));
    fclose(status);
    return kibibytes;
}

static int port_of(int index) { return 1 + index; }

static void begin(int index)
{
    struct linger none = {1, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT(fd >= 0);
    /* A reset leaves no port behind that waits for stray packets. */
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0);
    FAILS(reach(fd, HOST, port_of(index)), EINPROGRESS);
    entries[index] = (struct pollfd){.fd = fd, .events = POLLOUT};
    struct epoll_event event = {.events = EPOLLOUT, .data.u32 = (uint32_t)index};
    if (epoll)
        EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void end(int index)
{
    int fd = entries[index].fd;
    unsigned char port[2];
    EXPECT(error_of(fd) == wanted);
    EXPECT(error_of(fd) == 0);
    if (wanted == 0) {
        EXPECT(peer_is(fd, HOST, port_of(index)));
        EXPECT(recv(fd, port, 2, 0) == 2 && port[0] * 256 + port[1] == port_of(index));
    }
    EXPECT(close(fd) == 0);
    entries[index].fd = -1;
}

/* Number of connects that have ended. */
static int turn(void)
{
    struct epoll_event events[256];
    int ready, ended = 0;
    if (epoll) {
        ready = epoll_wait(set, events, 256, 60000);
        EXPECT(ready > 0);
        for (int i = 0; i < ready; i++)
            end((int)events[i].data.u32);
        return ready;
    }
    ready = poll(entries, (nfds_t)count, 60000);
    EXPECT(ready > 0);
    for (int i = 0; i < count; i++)
        if (entries[i].fd >= 0 && entries[i].revents)
            end(i), ended++;
    EXPECT(ended == ready);
    return ended;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc != 4)
        return 2;
    count = atoi(argv[1]);
    epoll = strcmp(argv[2], "epoll") == 0;
    wanted = atoi(argv[3]);
    EXPECT(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    EXPECT(setrlimit(RLIMIT_NOFILE, &files) == 0);
    entries = calloc((size_t)count, sizeof *entries);
    set = epoll_create1(0);
    double start = now(CLOCK_MONOTONIC), longest = 0;
    for (int i = 0; i < count; i++) {
        double before = now(CLOCK_THREAD_CPUTIME_ID);
        begin(i);
        double took = now(CLOCK_THREAD_CPUTIME_ID) - before;
        longest = took > longest ? took : longest;
    }
    double begun = now(CLOCK_MONOTONIC);
    /* The last one has not been asked for yet, so none is answered. */
    long resident = memory("VmRSS:"), shared = memory("RssShmem:");
    double turns = 0;
    for (int left = count; left > 0; turns++) {
        double before = now(CLOCK_THREAD_CPUTIME_ID);
        left -= turn();
        double took = now(CLOCK_THREAD_CPUTIME_ID) - before;
        longest = took > longest ? took : longest;
    }
    EXPECT(!epoll || epoll_wait(set, &(struct epoll_event){0}, 1, 0) == 0);
    printf("%d in flight by %s: begun in %.0f ms, ended after %.0f ms, %.0f ms of processor time, %.1f "
           "ms in one turn, %.0f turns, %ld KiB resident, %ld of them shared\ndone\n",
           count, argv[2], begun - start, now(CLOCK_MONOTONIC) - start,
           now(CLOCK_PROCESS_CPUTIME_ID), longest, turns, resident, shared);
    return 0;
}
