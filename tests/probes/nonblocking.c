/* What a program sees of a connect that does not wait: one scene for each argument. The proxy behind
   it answers late, so that the handshake is in flight when a scene looks for the first time. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "scene.h"

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
extern __typeof__(send) __send;

/* What a socket is ready for within so many milliseconds, -1 for ever. */
typedef int ready(int fd, int limit);

static const char *const HOST = "192.0.2.1";

static int begun(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT(fd >= 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    return fd;
}

static int error_of(int fd)
{
    int error = -1;
    socklen_t length = sizeof error;
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && length == sizeof error);
    return error;
}

/* A socket that its program was told to be ready is connected, and no sooner. */
static void is_connected(int fd)
{
    EXPECT(peer_is(fd, HOST, 80));
    EXPECT(error_of(fd) == 0);
    FAILS(reach(fd, HOST, 80), EISCONN);
    EXPECT(fcntl(fd, F_SETFL, 0) == 0);
    EXPECT(echoes(fd));
}

static void becomes_connected(int fd, ready *waits)
{
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    EXPECT(waits(fd, 0) == 0);
    EXPECT(waits(fd, 20) == 0);
    FAILS(getpeername(fd, (struct sockaddr *)&peer, &length), ENOTCONN);
    EXPECT(error_of(fd) == 0);
    FAILS(reach(fd, HOST, 80), EALREADY);
    int events = waits(fd, -1);
    EXPECT((events & POLLOUT) && !(events & (POLLERR | POLLHUP)));
    is_connected(fd);
    EXPECT(close(fd) == 0);
}

static int by_poll(int fd, int limit)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT, .revents = 0x55};
    int count = poll(&entry, 1, limit);
    EXPECT(count == !!entry.revents && entry.events == (POLLIN | POLLOUT) && entry.fd == fd);
    return entry.revents;
}

static struct timespec *spell(int limit, struct timespec *time)
{
    *time = (struct timespec){limit / 1000, limit % 1000 * 1000000};
    return limit < 0 ? NULL : time;
}

static int by_ppoll(int fd, int limit)
{
    struct timespec time;
    /* More entries than the library copies to its stack. */
    static struct pollfd entries[1000];
    for (int i = 0; i < 1000; i++)
        entries[i] = (struct pollfd){.fd = i == 999 ? fd : -1, .events = POLLOUT};
    int count = ppoll(entries, 1000, spell(limit, &time), NULL);
    EXPECT(count == !!entries[999].revents);
    return entries[999].revents;
}

static int of_sets(int count, int fd, fd_set *in, fd_set *out, fd_set *bad)
{
    int events = (FD_ISSET(fd, in) ? POLLIN : 0) | (FD_ISSET(fd, out) ? POLLOUT : 0)
        | (FD_ISSET(fd, bad) ? POLLERR : 0);
    EXPECT(count == __builtin_popcount(events));
    return events;
}

static int by_select(int fd, int limit)
{
    fd_set in, out, bad;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&bad);
    FD_SET(fd, &in);
    FD_SET(fd, &out);
    FD_SET(fd, &bad);
    struct timeval time = {limit / 1000, limit % 1000 * 1000};
    int count = select(fd + 1, &in, &out, &bad, limit < 0 ? NULL : &time);
    EXPECT(count > 0 || (time.tv_sec == 0 && time.tv_usec == 0));
    return of_sets(count, fd, &in, &out, &bad);
}

static int by_pselect(int fd, int limit)
{
    fd_set in, out, bad;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&bad);
    FD_SET(fd, &out);
    struct timespec time;
    int count = pselect(fd + 1, &in, &out, &bad, spell(limit, &time), NULL);
    return of_sets(count, fd, &in, &out, &bad);
}

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
    FAILS(__send(fd, &byte, 1, 0), EAGAIN);
}

/* The epoll set of the scene, in which the socket's data is its descriptor. */
static int set;

static void add(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static int of_events(int count, int fd, struct epoll_event *events)
{
    EXPECT(count == 0 || count == 1);
    EXPECT(count == 0 || events[0].data.u64 == (uint64_t)fd);
    return count ? (int)events[0].events : 0;
}

static int by_epoll(int fd, int limit)
{
    struct epoll_event events[4];
    return of_events(epoll_wait(set, events, 4, limit), fd, events);
}

static int by_epoll_pwait(int fd, int limit)
{
    struct epoll_event events[4];
    return of_events(epoll_pwait(set, events, 1, limit, NULL), fd, events);
}

static int by_epoll_pwait2(int fd, int limit)
{
    struct epoll_event events[4];
    struct timespec time;
    return of_events(epoll_pwait2(set, events, 4, spell(limit, &time), NULL), fd, events);
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
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
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
    struct epoll_event event = {.events = EPOLLIN, .data.fd = 1234};
    FAILS(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event), ENOENT);
    FAILS(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), ENOENT);
    add(set, fd, EPOLLIN);
    FAILS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), EEXIST);
    FAILS(epoll_ctl(set, EPOLL_CTL_ADD, fd, NULL), EFAULT);
    FAILS(epoll_ctl(set, 77, fd, &event), EINVAL);
    FAILS(epoll_ctl(0, EPOLL_CTL_ADD, fd, &event), EINVAL);
    FAILS(epoll_ctl(999, EPOLL_CTL_ADD, fd, &event), EBADF);
    add(other, fd, EPOLLOUT);
    event = (struct epoll_event){.events = EPOLLOUT, .data.fd = fd};
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

static void *sleeps(void *argument)
{
    /* Longer than the scene. */
    return (void *)(intptr_t)by_epoll((intptr_t)argument, 60000);
}

/* Threads that were asleep in epoll_wait before the connect. */
static void scene_asleep(void)
{
    pthread_t threads[3];
    void *seen;
    int total = 0;
    set = epoll_create1(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    add(set, fd, EPOLLET | EPOLLOUT);
    EXPECT(by_epoll(fd, 0) == (EPOLLOUT | EPOLLHUP));
    int idle[2];
    EXPECT(pipe(idle) == 0);
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_create(&threads[i], NULL, sleeps, (void *)(intptr_t)fd) == 0);
    usleep(50000);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    /* Whoever takes it sees it once; then each of the others is woken by an edge of its own. */
    EXPECT(by_poll(fd, -1) & POLLOUT);
    is_connected(fd);
    for (int i = 0; i < 3; i++) {
        struct epoll_event event = {.events = EPOLLET | EPOLLOUT, .data.fd = fd};
        EXPECT(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
        usleep(20000);
    }
    for (int i = 0; i < 3; i++) {
        EXPECT(pthread_join(threads[i], &seen) == 0);
        EXPECT((intptr_t)seen == EPOLLOUT);
        total++;
    }
    EXPECT(total == 3);
}

static void scene_strangers(void)
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

static long elapsed(struct timespec start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
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

static void scene_data(void)
{
    char byte = 0;
    int fd = begun(), count = 7, pipes[2];
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr messages = {.msg_hdr = message};
    FAILS(read(fd, &byte, 1), EAGAIN);
    FAILS(readv(fd, &piece, 1), EAGAIN);
    FAILS(recv(fd, &byte, 1, 0), EAGAIN);
    FAILS(recvfrom(fd, &byte, 1, 0, NULL, NULL), EAGAIN);
    FAILS(recvmsg(fd, &message, 0), EAGAIN);
    FAILS(recvmmsg(fd, &messages, 1, 0, NULL), EAGAIN);
    FAILS(write(fd, &byte, 1), EAGAIN);
    FAILS(writev(fd, &piece, 1), EAGAIN);
    FAILS(send(fd, &byte, 1, 0), EAGAIN);
    FAILS(sendto(fd, &byte, 1, 0, NULL, 0), EAGAIN);
    FAILS(sendmsg(fd, &message, 0), EAGAIN);
    FAILS(sendmmsg(fd, &messages, 1, 0), EAGAIN);
    FAILS(syscall(SYS_write, fd, &byte, 1), EAGAIN);
    int self = open("/proc/self/exe", O_RDONLY);
    FAILS(sendfile(fd, self, NULL, 1), EAGAIN);
    FAILS(sendfile64(fd, self, NULL, 1), EAGAIN);
    EXPECT(pipe(pipes) == 0);
    FAILS(splice(fd, NULL, pipes[1], NULL, 1, 0), EAGAIN);
    EXPECT(ioctl(fd, FIONREAD, &count) == 0 && count == 0);
    /* A call that may wait does. */
    EXPECT(fcntl(fd, F_SETFL, 0) == 0);
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    EXPECT(write(fd, "hello", 6) == 6);
    EXPECT(peer_is(fd, HOST, 80));
    char answer[6];
    EXPECT(recv(fd, answer, 6, MSG_WAITALL) == 6 && strcmp(answer, "hello") == 0);
}

/* The proxy refuses with code 5. */
static void scene_failure(void)
{
    static ready *const ways[] = {by_poll, by_ppoll, by_epoll};
    for (int way = 0; way < 3; way++) {
        set = epoll_create1(0);
        int fd = begun();
        char byte;
        add(set, fd, EPOLLOUT | EPOLLIN);
        EXPECT(ways[way](fd, 0) == 0);
        int events = ways[way](fd, -1);
        EXPECT((events & POLLERR) && (events & POLLHUP));
        EXPECT(error_of(fd) == ECONNREFUSED);
        EXPECT(error_of(fd) == 0);
        close(fd);
        fd = begun();
        EXPECT(by_poll(fd, -1) & POLLERR);
        FAILS(recv(fd, &byte, 1, 0), ECONNREFUSED);
        EXPECT(error_of(fd) == 0);
        close(fd);
        fd = begun();
        EXPECT(by_select(fd, -1) & POLLOUT);
        FAILS(reach(fd, HOST, 80), ECONNREFUSED);
        FAILS(reach(fd, HOST, 80), EINPROGRESS);
        EXPECT(by_poll(fd, 0) == 0);
        close(fd);
        close(set);
    }
    /* A wait without end that is told nothing but the end. */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(reach(fd, HOST, 80), ECONNREFUSED);
    FAILS(reach(fd, HOST, 80), ECONNREFUSED);
}

/* Nobody listens at the Tor port. */
static void scene_down(void)
{
    set = epoll_create1(0);
    int fd = begun();
    add(set, fd, EPOLLOUT);
    EXPECT(by_poll(fd, -1) & POLLERR);
    EXPECT(by_epoll(fd, -1) & EPOLLERR);
    EXPECT(error_of(fd) == ECONNREFUSED);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(reach(fd, HOST, 80), ECONNREFUSED);
    EXPECT(error_of(fd) == 0);
}

/* The proxy says nothing, and the time for it is a second. */
static void scene_silence(void)
{
    static ready *const ways[] = {by_poll, by_select, by_epoll, by_epoll_pwait2};
    for (int way = 0; way < 4; way++) {
        set = epoll_create1(0);
        int fd = begun();
        add(set, fd, EPOLLOUT);
        EXPECT(ways[way](fd, -1));
        EXPECT(error_of(fd) == ETIMEDOUT);
        close(fd);
        close(set);
    }
}

static void scene_shutdown(void)
{
    int fd = begun();
    FAILS(shutdown(fd, 9), EINVAL);
    EXPECT(shutdown(fd, SHUT_WR) == 0);
    EXPECT(by_poll(fd, 0) & POLLHUP);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    becomes_connected(fd, by_poll);
    fd = begun();
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    EXPECT(connect(fd, &nobody, sizeof nobody) == 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    becomes_connected(fd, by_poll);
}

static void scene_duplicates(void)
{
    set = epoll_create1(0);
    int fd = begun(), second = dup(fd), third = fcntl(fd, F_DUPFD, 100);
    EXPECT(third == 100);
    add(set, second, EPOLLOUT);
    EXPECT(close(fd) == 0);
    FAILS(reach(third, HOST, 80), EALREADY);
    EXPECT(by_epoll(second, 0) == 0);
    EXPECT(by_select(third, -1) == POLLOUT);
    EXPECT(by_epoll(second, -1) == EPOLLOUT);
    EXPECT(close(second) == 0);
    is_connected(third);
}

/* Both the parent and the child wait for the one handshake, and each sees its end. */
static void scene_fork(void)
{
    static ready *const ways[] = {by_poll, by_select, by_epoll};
    for (int way = 0; way < 9; way++) {
        set = epoll_create1(0);
        int fd = begun(), status;
        add(set, fd, EPOLLOUT);
        pid_t child = fork();
        if (child == 0) {
            if (way % 3 == 2) {
                set = epoll_create1(0);
                add(set, fd, EPOLLOUT);
            }
            EXPECT(ways[way % 3](fd, -1) & POLLOUT);
            EXPECT(peer_is(fd, HOST, 80) && error_of(fd) == 0);
            _exit(0);
        }
        EXPECT(ways[way / 3](fd, -1) & POLLOUT);
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        is_connected(fd);
        close(fd);
        close(set);
    }
}

/* The child goes on with the parent's set and sockets; the parent is gone. */
static void scene_daemonize(void)
{
    set = epoll_create1(0);
    int fd = begun();
    add(set, fd, EPOLLOUT);
    if (fork() != 0)
        _exit(0);
    EXPECT(by_epoll(fd, -1) & POLLOUT);
    is_connected(fd);
}

static void scene_exec(void)
{
    char number[12];
    char *arguments[] = {"nonblocking", "closed", number, NULL};
    int fd = begun();
    snprintf(number, sizeof number, "%d", fd);
    FAILS(execv("/nowhere", arguments), ENOENT);
    EXPECT(fcntl(fd, F_GETFD) == 0);
    execv("/proc/self/exe", arguments);
    EXPECT(!"executed");
}

static void ignore(int number) { (void)number; }

static void alarmed(int flags)
{
    struct sigaction action = {.sa_handler = ignore, .sa_flags = flags};
    struct itimerval once = {.it_value = {.tv_usec = 100000}};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    EXPECT(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static void scene_interrupted(void)
{
    static ready *const ways[] = {by_poll, by_select, by_epoll};
    alarmed(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(reach(fd, HOST, 80), EINTR);
    /* It goes on; a connect that may wait waits for its end. */
    EXPECT(by_poll(fd, 0) == 0);
    EXPECT(reach(fd, HOST, 80) == 0);
    is_connected(fd);
    alarmed(SA_RESTART);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(reach(fd, HOST, 80) == 0);
    is_connected(fd);
    /* poll and its kind are never restarted. */
    for (int way = 0; way < 3; way++) {
        set = epoll_create1(0);
        fd = begun();
        add(set, fd, EPOLLOUT);
        alarmed(SA_RESTART);
        if (way == 0) {
            struct pollfd entry = {.fd = fd, .events = POLLOUT};
            FAILS(poll(&entry, 1, -1), EINTR);
        } else if (way == 1) {
            fd_set out;
            FD_ZERO(&out);
            FD_SET(fd, &out);
            FAILS(select(fd + 1, NULL, &out, NULL, NULL), EINTR);
        } else {
            struct epoll_event event;
            FAILS(epoll_wait(set, &event, 1, -1), EINTR);
        }
        EXPECT(ways[way](fd, -1) & POLLOUT);
        is_connected(fd);
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

static void scene_impatient(void)
{
    struct timeval limit = {.tv_usec = 100000}, seen;
    socklen_t length = sizeof seen;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    FAILS(reach(fd, HOST, 80), EALREADY);
    EXPECT(by_poll(fd, -1) == POLLOUT);
    is_connected(fd);
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &seen, &length) == 0);
    EXPECT(seen.tv_sec == 0 && seen.tv_usec >= 99000 && seen.tv_usec <= 110000);
}

static void *connects(void *argument)
{
    reach((intptr_t)argument, HOST, 80);
    return NULL;
}

static void scene_cancelled(void)
{
    pthread_t thread;
    void *result;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(pthread_create(&thread, NULL, connects, (void *)(intptr_t)fd) == 0);
    usleep(100000);
    FAILS(reach(fd, HOST, 80), EALREADY);
    EXPECT(pthread_cancel(thread) == 0);
    EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    /* Nobody holds the handshake; this one takes it to its end. */
    EXPECT(reach(fd, HOST, 80) == 0);
    is_connected(fd);
}

static void scene_options(void)
{
    int on = 1, seen;
    socklen_t length = sizeof seen;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on) == 0);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0);
    EXPECT(reach(fd, HOST, 80) == 0);
    EXPECT(fcntl(fd, F_GETFL) == O_RDWR);
    EXPECT(getsockopt(fd, IPPROTO_TCP, 1, &seen, &length) == 0 && seen);
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &seen, &length) == 0 && seen);
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

static volatile int victim = -1;

static void close_victim(int number)
{
    (void)number;
    int fd = victim;
    victim = -1;
    if (fd >= 0)
        close(fd);
}

static void scene_closed_in_handler(void)
{
    struct sigaction action = {.sa_handler = close_victim, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 70}, {0, 70}}, never = {{0, 0}, {0, 0}};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    EXPECT(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < 2000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        EXPECT(fd >= 0);
        victim = fd;
        reach(fd, HOST, 80);
        struct pollfd entry = {.fd = fd, .events = POLLOUT};
        poll(&entry, 1, 0);
        int error;
        socklen_t length = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
        close_victim(0);
    }
    EXPECT(setitimer(ITIMER_REAL, &never, NULL) == 0);
    becomes_connected(begun(), by_poll);
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
    {"strangers", scene_strangers},
    {"timeouts", scene_timeouts},
    {"data", scene_data},
    {"failure", scene_failure},
    {"down", scene_down},
    {"silence", scene_silence},
    {"shutdown", scene_shutdown},
    {"duplicates", scene_duplicates},
    {"fork", scene_fork},
    {"daemonize", scene_daemonize},
    {"exec", scene_exec},
    {"interrupted", scene_interrupted},
    {"masks", scene_masks},
    {"impatient", scene_impatient},
    {"cancelled", scene_cancelled},
    {"options", scene_options},
    {"many", scene_many},
    {"closed-in-handler", scene_closed_in_handler},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[1], "closed") == 0) {
        FAILS(fcntl(atoi(arguments[2]), F_GETFD), EBADF);
        puts("done");
        return 0;
    }
    return play(scenes, count, arguments);
}
