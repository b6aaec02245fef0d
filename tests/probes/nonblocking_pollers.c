/* A call that waits for a socket sees nothing of its handshake, and then the connection. */
#include "nonblocking.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

/* Declared by the headers only in fortified programs. */
extern int __poll_chk(struct pollfd *, nfds_t, int, size_t);
extern int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
extern ssize_t __read_chk(int, void *, size_t, size_t);
extern ssize_t __recv_chk(int, void *, size_t, size_t, int);
extern ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
extern __typeof__(poll) __poll;
extern __typeof__(select) __select;
extern __typeof__(read) __read;
extern __typeof__(write) __write;

static int by_poll_chk(int fd, int limit)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    __poll_chk(&entry, 1, limit, sizeof entry);
    return entry.revents;
}

static int by_ppoll_chk(int fd, int limit)
{
    struct timespec time;
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    __ppoll_chk(&entry, 1, spell(limit, &time), NULL, sizeof entry);
    return entry.revents;
}

static int by_other_poll(int fd, int limit)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    __poll(&entry, 1, limit);
    return entry.revents;
}

static int by_other_select(int fd, int limit)
{
    fd_set out;
    FD_ZERO(&out);
    FD_SET(fd, &out);
    struct timeval time = {limit / 1000, limit % 1000 * 1000};
    return __select(fd + 1, NULL, &out, NULL, limit < 0 ? NULL : &time) == 1 ? POLLOUT : 0;
}

static void scene_poll(void) { becomes_connected(begun(), by_poll); }
static void scene_ppoll(void) { becomes_connected(begun(), by_ppoll); }
static void scene_select(void) { becomes_connected(begun(), by_select); }
static void scene_pselect(void) { becomes_connected(begun(), by_pselect); }

static void scene_fortified(void)
{
    char byte[8];
    becomes_connected(begun(), by_poll_chk);
    becomes_connected(begun(), by_ppoll_chk);
    int fd = begun();
    FAILS(__read_chk(fd, byte, 1, sizeof byte), EAGAIN);
    FAILS(__recv_chk(fd, byte, 1, sizeof byte, 0), EAGAIN);
    FAILS(__recvfrom_chk(fd, byte, 1, sizeof byte, 0, NULL, NULL), EAGAIN);
}

static void scene_aliases(void)
{
    char byte = 0;
    becomes_connected(begun(), by_other_poll);
    becomes_connected(begun(), by_other_select);
    int fd = begun();
    FAILS(__read(fd, &byte, 1), EAGAIN);
    FAILS(__write(fd, &byte, 1), EAGAIN);
    /* Not every architecture has it. */
    __typeof__(send) *alias = dlsym(RTLD_DEFAULT, "__send");
    if (alias)
        FAILS(alias(fd, &byte, 1, 0), EAGAIN);
}

/* The outer set, the inner one in it. */
static int by_nested(int fd, int limit)
{
    struct epoll_event event;
    int outer = epoll_create1(0), seen = 0;
    add(outer, set, EPOLLIN);
    while (!seen && epoll_wait(outer, &event, 1, limit) == 1)
        seen = by_epoll(fd, 0);
    close(outer);
    return seen;
}

static void scene_epoll(void)
{
    static ready *const ways[] = {by_epoll, by_epoll_pwait, by_epoll_pwait2, by_nested};
    for (int way = 0; way < 4; way++) {
        set = epoll_create1(0);
        int fd = begun();
        add(set, fd, EPOLLIN | EPOLLOUT);
        becomes_connected(fd, ways[way]);
        close(set);
    }
}

static void scene_epoll_manners(void)
{
    static const uint32_t manners[] = {0, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE};
    for (int i = 0; i < 4; i++) {
        set = epoll_create1(0);
        int fd = begun();
        add(set, fd, EPOLLOUT | manners[i]);
        EXPECT(by_epoll(fd, 0) == 0);
        EXPECT(by_epoll(fd, -1) == EPOLLOUT);
        is_connected(fd);
        int again = by_epoll(fd, 0);
        EXPECT(manners[i] == 0 || manners[i] == EPOLLEXCLUSIVE ? again == EPOLLOUT : again == 0);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = fd};
        if (manners[i] != EPOLLEXCLUSIVE) {
            EXPECT(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
            EXPECT(send(fd, "x", 1, 0) == 1);
            EXPECT(by_epoll(fd, -1) == EPOLLIN);
        }
        EXPECT(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) == 0);
        FAILS(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), ENOENT);
        close(fd);
        close(set);
    }
}

static void scene_epoll_control(void)
{
    set = epoll_create1(0);
    int fd = begun(), other = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1234};
    FAILS(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event), ENOENT);
    FAILS(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), ENOENT);
    add(set, fd, EPOLLIN);
    FAILS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), EEXIST);
    FAILS(epoll_ctl(set, EPOLL_CTL_ADD, fd, NULL), EFAULT);
    FAILS(epoll_ctl(set, 77, fd, &event), EINVAL);
    FAILS(epoll_ctl(0, EPOLL_CTL_ADD, fd, &event), EINVAL);
    FAILS(epoll_ctl(999, EPOLL_CTL_ADD, fd, &event), EBADF);
    add(other, fd, EPOLLOUT);
    event = (struct epoll_event){.events = EPOLLOUT, .data.u64 = fd};
    EXPECT(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
    EXPECT(epoll_ctl(other, EPOLL_CTL_DEL, fd, NULL) == 0);
    EXPECT(by_epoll(fd, -1) == EPOLLOUT);
    is_connected(fd);
    EXPECT(epoll_wait(other, &event, 1, 0) == 0);
}

static void scene_registered_before(void)
{
    static const uint32_t manners[] = {0, EPOLLET, EPOLLEXCLUSIVE};
    for (int i = 0; i < 3; i++) {
        set = epoll_create1(0);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), second = epoll_create1(0);
        add(set, fd, EPOLLIN | EPOLLOUT | manners[i]);
        add(second, fd, EPOLLOUT);
        EXPECT(by_epoll(fd, 0) == (EPOLLOUT | EPOLLHUP));
        FAILS(reach(fd, HOST, 80), EINPROGRESS);
        struct epoll_event event;
        EXPECT(epoll_wait(second, &event, 1, 0) == 0);
        becomes_connected(fd, by_epoll);
        close(set);
        close(second);
    }
}

enum { SLEEPERS = 3 };
static int sleepers[SLEEPERS];
static atomic_int begun_to_sleep, awake;

static void *sleeps(void *argument)
{
    __atomic_store_n(&sleepers[begun_to_sleep++], gettid(), __ATOMIC_RELEASE);
    /* Longer than the scene. */
    int seen = by_epoll((intptr_t)argument, 60000);
    atomic_fetch_add(&awake, 1);
    return (void *)(intptr_t)seen;
}

/* Threads that were asleep in epoll_wait before the connect. */
static void scene_asleep(void)
{
    pthread_t threads[SLEEPERS];
    void *seen;
    int total = 0;
    set = epoll_create1(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    add(set, fd, EPOLLET | EPOLLOUT);
    EXPECT(by_epoll(fd, 0) == (EPOLLOUT | EPOLLHUP));
    int idle[2];
    EXPECT(pipe(idle) == 0);
    for (int i = 0; i < SLEEPERS; i++)
        EXPECT(pthread_create(&threads[i], NULL, sleeps, (void *)(intptr_t)fd) == 0);
    for (int i = 0; i < SLEEPERS; i++)
        wait_until_asleep(&sleepers[i]);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    /* The thread that takes it sees it once; then each of the others is woken by an edge of its own, which
       comes only when the one before was seen: two that meet are one. */
    EXPECT(by_poll(fd, -1) & POLLOUT);
    is_connected(fd);
    for (int seen_by = 1; seen_by <= SLEEPERS; seen_by++) {
        while (atomic_load(&awake) < seen_by)
            usleep(1000);
        struct epoll_event event = {.events = EPOLLET | EPOLLOUT, .data.u64 = fd};
        EXPECT(seen_by == SLEEPERS || epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        EXPECT(pthread_join(threads[i], &seen) == 0);
        EXPECT((intptr_t)seen == EPOLLOUT);
        total++;
    }
    EXPECT(total == SLEEPERS);
}

static void scene_others(void)
{
    int pair[2], fd = begun();
    char byte;
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    struct pollfd entries[] = {
        {.fd = pair[0], .events = POLLIN}, {.fd = fd, .events = POLLOUT}, {.fd = 999, .events = POLLIN}};
    EXPECT(poll(entries, 3, -1) == 1 && entries[2].revents == POLLNVAL && !entries[1].revents);
    EXPECT(write(pair[1], "x", 1) == 1);
    EXPECT(poll(entries, 2, -1) == 1 && entries[0].revents == POLLIN && !entries[1].revents);
    EXPECT(read(pair[0], &byte, 1) == 1);
    EXPECT(poll(entries, 2, -1) == 1 && entries[1].revents == POLLOUT && !entries[0].revents);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(pair[0], &in);
    fd = begun();
    FD_SET(fd, &in);
    FAILS(select(1000, &in, NULL, NULL, &(struct timeval){-1, 0}), EINVAL);
    EXPECT(write(pair[1], "x", 1) == 1);
    EXPECT(select(fd + 1, &in, NULL, NULL, NULL) == 1 && FD_ISSET(pair[0], &in));
    EXPECT(!FD_ISSET(fd, &in));
    struct pollfd *volatile nowhere = (struct pollfd *)16;
    FAILS(poll(nowhere, 3, 0), EFAULT);
}

/* No wait ends before its time, whatever the handshake does meanwhile. */
static void scene_timeouts(void)
{
    static ready *const ways[] = {by_poll, by_ppoll, by_select, by_pselect, by_epoll, by_epoll_pwait2};
    for (int way = 0; way < 6; way++) {
        struct timespec start;
        set = epoll_create1(0);
        int fd = begun();
        add(set, fd, EPOLLOUT);
        clock_gettime(CLOCK_MONOTONIC, &start);
        EXPECT(ways[way](fd, 130) == 0);
        EXPECT(elapsed(start) >= 130);
        close(fd);
        close(set);
    }
}

static void scene_masks(void)
{
    sigset_t blocked, open;
    struct sigaction action = {.sa_handler = ignore};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    EXPECT(sigemptyset(&open) == 0 && sigemptyset(&blocked) == 0);
    EXPECT(sigaddset(&blocked, SIGALRM) == 0);
    EXPECT(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    struct epoll_event event;
    for (int way = 0; way < 4; way++) {
        int fd = begun();
        struct pollfd entry = {.fd = fd, .events = POLLOUT};
        fd_set out;
        FD_ZERO(&out);
        FD_SET(fd, &out);
        set = epoll_create1(0);
        add(set, fd, EPOLLOUT);
        EXPECT(raise(SIGALRM) == 0);
        /* Blocked, it interrupts nothing; let in for the time of a call, it does. */
        EXPECT(poll(&entry, 1, 20) == 0);
        if (way == 0)
            FAILS(ppoll(&entry, 1, NULL, &open), EINTR);
        else if (way == 1)
            FAILS(pselect(fd + 1, NULL, &out, NULL, NULL, &open), EINTR);
        else if (way == 2)
            FAILS(epoll_pwait(set, &event, 1, -1, &open), EINTR);
        else
            FAILS(epoll_pwait2(set, &event, 1, NULL, &open), EINTR);
        close(fd);
        close(set);
    }
}

/* Ten seconds of the proxy for each would be hours. */
static void scene_many(void)
{
    enum { MANY = 900 };
    static int sockets[MANY];
    struct epoll_event events[64];
    int connected = 0;
    set = epoll_create1(0);
    for (int i = 0; i < MANY; i++) {
        sockets[i] = begun();
        add(set, sockets[i], EPOLLOUT | EPOLLONESHOT);
    }
    while (connected < MANY) {
        int count = epoll_wait(set, events, 64, -1);
        EXPECT(count > 0);
        for (int i = 0; i < count; i++, connected++) {
            EXPECT(events[i].events == EPOLLOUT);
            EXPECT(peer_is(events[i].data.fd, HOST, 80));
        }
    }
    EXPECT(epoll_wait(set, events, 64, 0) == 0);
    for (int i = 0; i < MANY; i++)
        EXPECT(close(sockets[i]) == 0);
}

/* The peer speaks first, in the same segment as the proxy's answer: all of it is there at once. */
static void scene_greeted(void)
{
    static ready *const ways[] = {by_poll, by_select, by_epoll, by_epoll_pwait2, by_epoll};
    for (int way = 0; way < 5; way++) {
        char said[8];
        int waiting = -1;
        set = epoll_create1(0);
        int fd = begun();
        add(set, fd, EPOLLIN | EPOLLOUT | (way == 4 ? EPOLLET : 0));
        EXPECT(ways[way](fd, 0) == 0);
        EXPECT(ways[way](fd, -1) == (POLLIN | POLLOUT));
        EXPECT(ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 5);
        EXPECT(recv(fd, said, sizeof said, 0) == 5 && memcmp(said, "hello", 5) == 0);
        FAILS(recv(fd, said, sizeof said, 0), EAGAIN);
        EXPECT(peer_is(fd, HOST, 80));
        close(fd);
        close(set);
    }
}

static int v6_peer_is(int fd, const char *text)
{
    struct sockaddr_in6 expected = v6(text, 80), seen;
    socklen_t length = sizeof seen;
    return getpeername(fd, (struct sockaddr *)&seen, &length) == 0 && length == sizeof seen
        && memcmp(&seen, &expected, sizeof seen) == 0;
}

static void scene_ipv6(void)
{
    static ready *const ways[] = {by_poll, by_select, by_epoll};
    static const char *const hosts[] = {"2001:db8::1", "::ffff:192.0.2.1"};
    for (int way = 0; way < 6; way++) {
        struct sockaddr_in6 address = v6(hosts[way / 3], 80);
        set = epoll_create1(0);
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
        FAILS(connect(fd, (struct sockaddr *)&address, sizeof address), EINPROGRESS);
        add(set, fd, EPOLLOUT);
        EXPECT(ways[way % 3](fd, 0) == 0);
        FAILS(connect(fd, (struct sockaddr *)&address, sizeof address), EALREADY);
        EXPECT(ways[way % 3](fd, -1) == POLLOUT);
        EXPECT(v6_peer_is(fd, hosts[way / 3]) && error_of(fd) == 0);
        EXPECT(fcntl(fd, F_SETFL, 0) == 0 && echoes(fd));
        close(fd);
        close(set);
    }
}

static const struct scene scenes[] = {
    {"poll", scene_poll},
    {"ppoll", scene_ppoll},
    {"select", scene_select},
    {"pselect", scene_pselect},
    {"fortified", scene_fortified},
    {"aliases", scene_aliases},
    {"epoll", scene_epoll},
    {"epoll-manners", scene_epoll_manners},
    {"epoll-control", scene_epoll_control},
    {"registered-before", scene_registered_before},
    {"asleep", scene_asleep},
    {"others", scene_others},
    {"timeouts", scene_timeouts},
    {"masks", scene_masks},
    {"many", scene_many},
    {"greeted", scene_greeted},
    {"ipv6", scene_ipv6},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
