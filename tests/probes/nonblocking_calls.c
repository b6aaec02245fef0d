/* Answers of calls on a socket while its handshake is in flight, and when it has failed. */
#include "nonblocking.h"

#include <aio.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static void scene_data(void)
{
    char byte = 0;
    int fd = begun(), count = 7, pipes[2];
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr messages = {.msg_hdr = message};
    FAILS(read(fd, &byte, 1), EAGAIN);
    FAILS(readv(fd, &piece, 1), EAGAIN);
    FAILS(preadv2(fd, &piece, 1, -1, 0), EAGAIN);
    FAILS(preadv64v2(fd, &piece, 1, -1, 0), EAGAIN);
    FAILS(recv(fd, &byte, 1, 0), EAGAIN);
    FAILS(recvfrom(fd, &byte, 1, 0, NULL, NULL), EAGAIN);
    FAILS(recvmsg(fd, &message, 0), EAGAIN);
    FAILS(recvmmsg(fd, &messages, 1, 0, NULL), EAGAIN);
    FAILS(write(fd, &byte, 1), EAGAIN);
    FAILS(writev(fd, &piece, 1), EAGAIN);
    FAILS(pwritev2(fd, &piece, 1, -1, 0), EAGAIN);
    FAILS(pwritev64v2(fd, &piece, 1, -1, 0), EAGAIN);
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

/* The connection that is established leads to Tor's port, as do the bytes that are on their way. */
static void scene_questions(void)
{
    int fd = begun(), count = 7;
    struct tcp_info seen;
    socklen_t size = sizeof seen;
    EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &seen, &size) == 0);
    EXPECT(seen.tcpi_state == TCP_SYN_SENT);
    EXPECT(ioctl(fd, TIOCOUTQ, &count) == 0 && count == 0);
    EXPECT((count = 7, ioctl(fd, SIOCOUTQNSD, &count)) == 0 && count == 0);
    FAILS(ioctl(fd, TIOCOUTQ, (void *)8), EFAULT);
    EXPECT(by_poll(fd, -1) & POLLOUT);
    EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &seen, &size) == 0);
    EXPECT(seen.tcpi_state == TCP_ESTABLISHED);
    is_connected(fd);
}

/* A wait that can't read what it waits for, or not write what it saw, ends with EFAULT. */
static void scene_bad_pointers(void)
{
    int fd = begun(), set = epoll_create1(0);
    void *const places[] = {page_of(PROT_NONE), page_of(PROT_READ), (void *)-1, (void *)8};
    struct epoll_event event = {.events = EPOLLOUT};
    struct timespec now = {0, 0};
    struct timeval soon = {0, 0};
    struct pollfd entry = {fd, POLLOUT, 0};
    fd_set writable;
    FD_ZERO(&writable);
    FD_SET(fd, &writable);
    EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    /* All numbers below are in a set that can be read only. */
    fd_set *all = places[1];
    EXPECT(mprotect(all, 65536, PROT_READ | PROT_WRITE) == 0);
    FD_SET(fd, all);
    struct pollfd *entries = (struct pollfd *)(all + 1);
    *entries = entry;
    EXPECT(mprotect(all, 65536, PROT_READ) == 0);
    FAILS(select(fd + 1, NULL, all, NULL, &soon), EFAULT);
    FAILS(pselect(fd + 1, NULL, all, NULL, &now, NULL), EFAULT);
    FAILS(poll(entries, 1, 0), EFAULT);
    for (int i = 0; i < 4; i++) {
        FAILS(epoll_ctl(set, EPOLL_CTL_MOD, fd, i == 1 ? places[0] : places[i]), EFAULT);
        if (i == 1)
            continue;
        FAILS(select(fd + 1, NULL, places[i], NULL, &soon), EFAULT);
        FAILS(poll(places[i], 1, 0), EFAULT);
        FAILS(epoll_pwait2(set, &event, 1, places[i], NULL), EFAULT);
        FAILS(syscall(SYS_ppoll, &entry, 1, places[i], NULL, 8), EFAULT);
        FAILS(syscall(SYS_pselect6, fd + 1, NULL, &writable, NULL, places[i], NULL), EFAULT);
#ifdef SYS_select
        FAILS(syscall(SYS_select, fd + 1, NULL, &writable, NULL, places[i]), EFAULT);
#endif
    }
    /* The kernel lets a time that it can't write be. */
    void *none = (char *)places[1] + 32768;
    EXPECT(syscall(SYS_ppoll, &entry, 1, none, NULL, 8) == 0);
    EXPECT(syscall(SYS_pselect6, fd + 1, NULL, &writable, NULL, none, NULL) == 0);
    socklen_t size = sizeof size;
    FAILS(getsockopt(fd, SOL_SOCKET, SO_ERROR, places[1], &size), EFAULT);
    EXPECT(by_poll(fd, -1) & POLLOUT);
    is_connected(fd);
}

/* The kernel takes any address for the second half of the connect that it knows of. */
static void scene_other_addresses(void)
{
    struct sockaddr_in local = v4("127.0.0.1", 80);
    struct sockaddr unknown = {.sa_family = AF_UNIX};
    int fd = begun();
    FAILS(connect(fd, (struct sockaddr *)&local, sizeof local), EALREADY);
    FAILS(connect(fd, &unknown, sizeof unknown), EALREADY);
    FAILS(connect(fd, &unknown, 1), EINVAL);
    EXPECT(by_poll(fd, -1) & POLLOUT);
    is_connected(fd);
}

extern int __dprintf_chk(int fd, int flag, const char *format, ...);
extern int __vdprintf_chk(int fd, int flag, const char *format, va_list arguments);

static int by_list(int checked, int fd, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = checked ? __vdprintf_chk(fd, 1, format, arguments) : vdprintf(fd, format, arguments);
    va_end(arguments);
    return count;
}

/* Arguments in all registers, and on the stack. */
#define FORMAT "%d %d %d %d %d %d %d %s %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1f\n"
#define FORMATTED "1 2 3 4 5 6 7 eight 0.5 1.5 2.5 3.5 4.5 5.5 6.5 7.5 8.5\n"
#define ARGUMENTS 1, 2, 3, 4, 5, 6, 7, "eight", .5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5

static int formatted(int form, int fd)
{
    switch (form) {
    case 0: return dprintf(fd, FORMAT, ARGUMENTS);
    case 1: return __dprintf_chk(fd, 1, FORMAT, ARGUMENTS);
    default: return by_list(form == 3, fd, FORMAT, ARGUMENTS);
    }
}

static void scene_formatted(void)
{
    for (int form = 0; form < 4; form++) {
        char answer[sizeof FORMATTED] = "";
        int fd = begun(), length = sizeof FORMATTED - 1;
        FAILS(formatted(form, fd), EAGAIN);
        EXPECT(fcntl(fd, F_SETFL, 0) == 0);
        errno = EXDEV;
        EXPECT(formatted(form, fd) == length && errno == EXDEV && peer_is(fd, HOST, 80));
        EXPECT(recv(fd, answer, length, MSG_WAITALL) == length && strcmp(answer, FORMATTED) == 0);
        EXPECT(close(fd) == 0);
        FAILS(formatted(form, fd), EBADF);
    }
}

/* A thread of libc's reads and writes, past the hooks. */
static void scene_requests(void)
{
    char byte = 'x';
    int fd = begun();
    struct aiocb request = {.aio_fildes = fd, .aio_buf = &byte, .aio_nbytes = 1};
    struct aiocb *list[] = {&request};
    FAILS(aio_read(&request), EAGAIN);
    FAILS(aio_write(&request), EAGAIN);
    for (int form = LIO_READ; form <= LIO_WRITE; form++) {
        request.aio_lio_opcode = form;
        FAILS(lio_listio(LIO_WAIT, list, 1, NULL), EAGAIN);
    }
    EXPECT(fcntl(fd, F_SETFL, 0) == 0 && write(fd, "y", 1) == 1 && read(fd, &byte, 1) == 1);
    for (int form = 0; form < 4; form++) {
        request.aio_lio_opcode = form % 2 ? LIO_READ : LIO_WRITE;
        EXPECT(form >= 2       ? lio_listio(LIO_WAIT, list, 1, NULL) == 0
                   : form % 2 ? aio_read(&request) == 0
                              : aio_write(&request) == 0);
        while (aio_error(&request) == EINPROGRESS)
            aio_suspend((const struct aiocb **)list, 1, NULL);
        EXPECT(aio_return(&request) == 1 && byte == 'y');
    }
    EXPECT(peer_is(fd, HOST, 80) && close(fd) == 0);
}

extern __typeof__(fdopen) _IO_fdopen;

/* libc reads and writes a stream's descriptor inside, where no hook stands. */
static void scene_streams(void)
{
    for (int way = 0; way < 3; way++) {
        char line[8];
        int fd = begun();
        EXPECT(way == 2 || fcntl(fd, F_SETFL, 0) == 0);
        errno = EXDEV;
        FILE *stream = way == 1 ? _IO_fdopen(fd, "r+") : fdopen(fd, "r+");
        EXPECT(stream && errno == EXDEV && peer_is(fd, HOST, 80));
        EXPECT(fcntl(fd, F_SETFL, 0) == 0 && setvbuf(stream, NULL, _IONBF, 0) == 0);
        EXPECT(fprintf(stream, "hello\n") == 6 && fgets(line, sizeof line, stream));
        EXPECT(strcmp(line, "hello\n") == 0 && fclose(stream) == 0);
    }
    int fd = begun();
    struct timeval short_while = {.tv_usec = 1000};
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &short_while, sizeof short_while) == 0);
    EXPECT((errno = 0, fdopen(fd, "r")) == NULL && errno == EAGAIN);
    EXPECT((errno = 0, fdopen(999, "r")) == NULL && errno == EBADF);
    EXPECT(fdopen(0, "r") != NULL);
    EXPECT(by_poll(fd, -1) & POLLOUT);
}

/* The proxy refuses with code 5. */
static void scene_failed_stream(void)
{
    char byte[2];
    int fd = begun();
    FILE *stream = fdopen(fd, "r+");
    EXPECT(stream && fgets(byte, sizeof byte, stream) == NULL);
    EXPECT(error_of(fd) == ECONNREFUSED && fclose(stream) == 0);
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

/* However the proxy fails, the program is told by the errno that the test expects, and once. */
static void scene_fails(void)
{
    static ready *const ways[] = {by_poll, by_select, by_epoll, by_epoll_pwait2};
    int expected = atoi(getenv("EXPECTED"));
    for (int way = 0; way < 4; way++) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        set = epoll_create1(0);
        int fd = begun();
        add(set, fd, EPOLLIN | EPOLLOUT);
        int events = ways[way](fd, -1);
        EXPECT(way == 1 ? events & POLLOUT : (events & POLLERR) && (events & POLLHUP));
        FAILS(getpeername(fd, (struct sockaddr *)&peer, &length), ENOTCONN);
        EXPECT(error_of(fd) == expected);
        EXPECT(error_of(fd) == 0);
        close(fd);
        close(set);
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(reach(fd, HOST, 80), expected);
    EXPECT(error_of(fd) == 0);
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

/* Of the library that is preloaded behind ours. */
extern int waits_so_far(void) __attribute__((weak));
extern void raise_at_wait(int number) __attribute__((weak));

/* Half a second is slept through, whatever waits for it: a look now and then is all. */
static void scene_sleeps(void)
{
    enum { MOST = 60 };
    static ready *const ways[] = {by_poll, by_select, by_epoll};
    char byte = 0;
    EXPECT(waits_so_far);
    for (int way = 0; way < 5; way++) {
        set = epoll_create1(0);
        int fd = way == 3 ? socket(AF_INET, SOCK_STREAM, 0) : begun(), before = waits_so_far();
        if (way < 3) {
            add(set, fd, EPOLLOUT);
            EXPECT(ways[way](fd, -1) & POLLOUT);
        } else if (way == 3) {
            EXPECT(reach(fd, HOST, 80) == 0);
        } else {
            EXPECT(fcntl(fd, F_SETFL, 0) == 0 && send(fd, &byte, 1, 0) == 1);
        }
        int waits = waits_so_far() - before;
        EXPECT(waits > 0 && waits < MOST);
        close(fd);
        close(set);
    }
}

/* A signal that comes while the library looks at a handshake, between two waits of the one call, ends
   the call all the same. */
static void scene_signalled(void)
{
    struct sigaction action = {.sa_handler = ignore};
    struct sockaddr_in address = v4(HOST, 80);
    EXPECT(raise_at_wait && sigaction(SIGALRM, &action, NULL) == 0);
    for (int way = 0; way < 5; way++) {
        struct epoll_event event;
        int fd = way < 3 ? begun() : socket(AF_INET, SOCK_STREAM, 0);
        struct pollfd entry = {.fd = fd, .events = POLLOUT};
        fd_set out;
        FD_ZERO(&out);
        FD_SET(fd, &out);
        set = epoll_create1(0);
        if (way == 4)
            FAILS((alarmed(0), connect(fd, (struct sockaddr *)&address, sizeof address)), EINTR);
        else if (way < 3)
            add(set, fd, EPOLLOUT);
        raise_at_wait(waits_so_far() + 2);
        if (way == 0)
            FAILS(poll(&entry, 1, -1), EINTR);
        else if (way == 1)
            FAILS(select(fd + 1, NULL, &out, NULL, NULL), EINTR);
        else if (way == 2)
            FAILS(epoll_wait(set, &event, 1, -1), EINTR);
        else if (way == 3)
            FAILS(connect(fd, (struct sockaddr *)&address, sizeof address), EINTR);
        else
            FAILS(send(fd, "x", 1, 0), EINTR);
        raise_at_wait(0);
        EXPECT(by_poll(fd, -1) == POLLOUT);
        is_connected(fd);
        close(fd);
        close(set);
    }
}

/* Sixth argument of pselect6. */
struct sized_mask {
    const sigset_t *mask;
    size_t size;
};

static int by_syscall_ppoll(int fd, int limit)
{
    struct timespec time;
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    int count = syscall(SYS_ppoll, &entry, 1, spell(limit, &time), NULL, 8);
    EXPECT(count == !!entry.revents);
    /* The kernel leaves what remains of the time. */
    EXPECT(count > 0 || (time.tv_sec == 0 && time.tv_nsec == 0));
    return entry.revents;
}

static int by_syscall_pselect(int fd, int limit)
{
    fd_set out;
    FD_ZERO(&out);
    FD_SET(fd, &out);
    struct timespec time;
    struct sized_mask none = {NULL, 8};
    int count = syscall(SYS_pselect6, fd + 1, NULL, &out, NULL, spell(limit, &time), &none);
    EXPECT(count == !!FD_ISSET(fd, &out));
    EXPECT(count > 0 || (time.tv_sec == 0 && time.tv_nsec == 0));
    return count ? POLLOUT : 0;
}

static int by_syscall_epoll_pwait(int fd, int limit)
{
    struct epoll_event events[4];
    return of_events(syscall(SYS_epoll_pwait, set, events, 4, limit, NULL, 8), fd, events);
}

static int by_syscall_epoll_pwait2(int fd, int limit)
{
    struct epoll_event events[4];
    struct timespec time;
    int count = syscall(SYS_epoll_pwait2, set, events, 4, spell(limit, &time), NULL, 8);
    return of_events(count, fd, events);
}

#ifdef SYS_poll
static int by_syscall_poll(int fd, int limit)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    syscall(SYS_poll, &entry, 1, limit);
    return entry.revents;
}

static int by_syscall_select(int fd, int limit)
{
    fd_set out;
    FD_ZERO(&out);
    FD_SET(fd, &out);
    struct timeval time = {limit / 1000, limit % 1000 * 1000};
    return syscall(SYS_select, fd + 1, NULL, &out, NULL, limit < 0 ? NULL : &time) ? POLLOUT : 0;
}

static int by_syscall_epoll_wait(int fd, int limit)
{
    struct epoll_event events[4];
    return of_events(syscall(SYS_epoll_wait, set, events, 4, limit), fd, events);
}
#endif

/* Everything that waits for a socket, by its number. */
static void scene_syscall_waits(void)
{
    static ready *const ways[] = {
#ifdef SYS_poll
        by_syscall_poll, by_syscall_select, by_syscall_epoll_wait,
#endif
        by_syscall_ppoll, by_syscall_pselect, by_syscall_epoll_pwait, by_syscall_epoll_pwait2};
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        set = epoll_create1(0);
        struct sockaddr_in address = v4(HOST, 80);
        int fd = syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        FAILS(syscall(SYS_connect, fd, &address, sizeof address), EINPROGRESS);
        struct epoll_event event = {.events = EPOLLOUT, .data.u64 = fd};
        EXPECT(syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &event) == 0);
        becomes_connected(fd, ways[way]);
        close(set);
    }
}

/* The kernel refuses a mask of another size, and lets a signal in for the time of the call. */
static void scene_syscall_masks(void)
{
    sigset_t blocked, open;
    struct sigaction action = {.sa_handler = ignore};
    struct epoll_event event;
    struct sized_mask sized = {&open, 8};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    EXPECT(sigemptyset(&open) == 0 && sigemptyset(&blocked) == 0);
    EXPECT(sigaddset(&blocked, SIGALRM) == 0 && sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    set = epoll_create1(0);
    int fd = begun();
    add(set, fd, EPOLLOUT);
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    fd_set out;
    FD_ZERO(&out);
    FD_SET(fd, &out);
    FAILS(syscall(SYS_ppoll, &entry, 1, NULL, &open, 4), EINVAL);
    FAILS(syscall(SYS_epoll_pwait, set, &event, 1, -1, &open, 4), EINVAL);
    FAILS(syscall(SYS_epoll_pwait2, set, &event, 1, NULL, &open, 4), EINVAL);
    sized.size = 4;
    FAILS(syscall(SYS_pselect6, fd + 1, NULL, &out, NULL, NULL, &sized), EINVAL);
    sized.size = 8;
    FAILS(syscall(SYS_ppoll, &entry, 1, (void *)16, NULL, 8), EFAULT);
    FAILS(syscall(SYS_pselect6, fd + 1, NULL, &out, NULL, NULL, (void *)16), EFAULT);
    for (int way = 0; way < 4; way++) {
        EXPECT(raise(SIGALRM) == 0);
        if (way == 0)
            FAILS(syscall(SYS_ppoll, &entry, 1, NULL, &open, 8), EINTR);
        else if (way == 1)
            FAILS(syscall(SYS_pselect6, fd + 1, NULL, &out, NULL, NULL, &sized), EINTR);
        else if (way == 2)
            FAILS(syscall(SYS_epoll_pwait, set, &event, 1, -1, &open, 8), EINTR);
        else
            FAILS(syscall(SYS_epoll_pwait2, set, &event, 1, NULL, &open, 8), EINTR);
    }
    EXPECT(by_epoll(fd, -1) == EPOLLOUT);
    is_connected(fd);
}

/* Everything that moves data or asks for the state of a socket, by its number. */
static void scene_syscall_data(void)
{
    char byte = 0;
    int fd = begun(), count = 7, pipes[2], error = -1, copies[4];
    socklen_t length = sizeof error;
    struct sockaddr_in peer, address = v4(HOST, 80);
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr messages = {.msg_hdr = message};
    int self = open("/proc/self/exe", O_RDONLY);
    EXPECT(pipe(pipes) == 0);
    FAILS(syscall(SYS_read, fd, &byte, 1), EAGAIN);
    FAILS(syscall(SYS_readv, fd, &piece, 1), EAGAIN);
    FAILS(syscall(SYS_preadv2, fd, &piece, 1, -1L, -1L, 0), EAGAIN);
    FAILS(syscall(SYS_recvfrom, fd, &byte, 1, 0, NULL, NULL), EAGAIN);
    FAILS(syscall(SYS_recvmsg, fd, &message, 0), EAGAIN);
    FAILS(syscall(SYS_recvmmsg, fd, &messages, 1, 0, NULL), EAGAIN);
    FAILS(syscall(SYS_write, fd, &byte, 1), EAGAIN);
    FAILS(syscall(SYS_writev, fd, &piece, 1), EAGAIN);
    FAILS(syscall(SYS_pwritev2, fd, &piece, 1, -1L, -1L, 0), EAGAIN);
    FAILS(syscall(SYS_sendto, fd, &byte, 1, 0, NULL, 0), EAGAIN);
    FAILS(syscall(SYS_sendmsg, fd, &message, 0), EAGAIN);
    FAILS(syscall(SYS_sendmmsg, fd, &messages, 1, 0), EAGAIN);
    FAILS(syscall(SYS_sendfile, fd, self, NULL, 1), EAGAIN);
    FAILS(syscall(SYS_splice, fd, NULL, pipes[1], NULL, 1, 0), EAGAIN);
    FAILS(syscall(SYS_connect, fd, &address, sizeof address), EALREADY);
    FAILS(syscall(SYS_getpeername, fd, &peer, &length), ENOTCONN);
    length = sizeof error;
    EXPECT(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
    EXPECT(syscall(SYS_ioctl, fd, FIONREAD, &count) == 0 && count == 0);
    /* Copies share the handshake, and the last one keeps it. */
    copies[0] = syscall(SYS_dup, fd);
    copies[1] = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 100);
    copies[2] = syscall(SYS_dup3, fd, 200, O_CLOEXEC);
    copies[3] = dup(fd);
#ifdef SYS_dup2
    EXPECT(syscall(SYS_dup2, fd, copies[3]) == copies[3]);
#endif
    EXPECT(copies[1] == 100 && copies[2] == 200);
    for (int i = 0; i < 4; i++)
        EXPECT(by_poll(copies[i], 0) == 0);
    EXPECT(syscall(SYS_close, fd) == 0);
    for (int i = 0; i < 3; i++)
        EXPECT(syscall(SYS_close, copies[i]) == 0);
    EXPECT(by_poll(copies[3], -1) == POLLOUT);
    is_connected(copies[3]);
    EXPECT(close(copies[3]) == 0);
    fd = begun();
    EXPECT(syscall(SYS_shutdown, fd, SHUT_RDWR) == 0);
    EXPECT(by_poll(fd, 0) & POLLHUP);
    EXPECT(syscall(SYS_close_range, fd, fd, 0) == 0);
    EXPECT(is_forgotten(fd));
    /* A call that may wait does. */
    fd = begun();
    EXPECT(syscall(SYS_fcntl, fd, F_SETFL, 0) == 0);
    FAILS(syscall(SYS_recvfrom, fd, &byte, 1, MSG_DONTWAIT, NULL, NULL), EAGAIN);
    EXPECT(syscall(SYS_write, fd, "hello", 6) == 6);
    EXPECT(peer_is(fd, HOST, 80));
}

static const struct scene scenes[] = {
    {"data", scene_data},
    {"other-addresses", scene_other_addresses},
    {"bad-pointers", scene_bad_pointers},
        {"questions", scene_questions},
    {"formatted", scene_formatted},
    {"requests", scene_requests},
    {"streams", scene_streams},
    {"failed-stream", scene_failed_stream},
    {"failure", scene_failure},
    {"fails", scene_fails},
    {"sleeps", scene_sleeps},
    {"signalled", scene_signalled},
    {"down", scene_down},
    {"silence", scene_silence},
    {"syscall-waits", scene_syscall_waits},
    {"syscall-masks", scene_syscall_masks},
    {"syscall-data", scene_syscall_data},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
