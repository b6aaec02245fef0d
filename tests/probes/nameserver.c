/* A program that asks a name server by itself; one scene for each argument. The proxy behind it knows
   192.0.2.7 for every name. */
#define _GNU_SOURCE 1
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "scene.h"

static unsigned char query[512], answer[512];

/* A query for the addresses of a name, which has a label and "Example". */
static size_t ask_for(const char *label, int id, int type)
{
    static const unsigned char head[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    size_t length = strlen(label), end = sizeof head;
    memcpy(query, head, sizeof head);
    query[0] = id >> 8;
    query[1] = id;
    query[end++] = length;
    memcpy(query + end, label, length);
    end += length;
    memcpy(query + end, "\7Example\0\0\0\0\1", 13);
    query[end + 10] = type;
    return end + 13;
}

/* True if the received bytes answer the last question with 192.0.2.7. */
static int is_answer(ssize_t length, size_t asked, int id)
{
    return length == (ssize_t)asked + 16 && answer[0] == id >> 8 && answer[1] == (id & 255)
        && (answer[2] & 0x80) && (answer[3] & 15) == 0 && answer[7] == 1
        && memcmp(answer + 12, query + 12, asked - 12) == 0
        && memcmp(answer + length - 4, "\300\0\2\7", 4) == 0;
}

static struct sockaddr_in server(int last)
{
    char text[32];
    snprintf(text, sizeof text, "192.0.2.%d", last);
    return v4(text, 53);
}

static int connected_to(int last, int flags)
{
    int fd = socket(AF_INET, SOCK_DGRAM | flags, 0);
    struct sockaddr_in address = server(last);
    EXPECT(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static int is_from(const struct sockaddr_in *source, socklen_t length, int last)
{
    struct sockaddr_in expected = server(last);
    return length == sizeof expected && source->sin_family == AF_INET
        && source->sin_port == expected.sin_port && source->sin_addr.s_addr == expected.sin_addr.s_addr;
}

static int is_readable(int fd, int time)
{
    struct pollfd entry = {fd, POLLIN, 0};
    return poll(&entry, 1, time) == 1 && entry.revents == POLLIN;
}

static void scene_connected(void)
{
    int fd = connected_to(53, 0);
    EXPECT(peer_is(fd, "192.0.2.53", 53));
    size_t length = ask_for("one", 0x1234, 1);
    errno = 77;
    EXPECT(send(fd, query, length, 0) == (ssize_t)length && errno == 77);
    EXPECT(is_readable(fd, -1));
    struct sockaddr_in source;
    socklen_t size = sizeof source;
    ssize_t got = recvfrom(fd, answer, sizeof answer, 0, (struct sockaddr *)&source, &size);
    EXPECT(is_answer(got, length, 0x1234) && is_from(&source, size, 53));
    EXPECT(!is_readable(fd, 0));
    /* Another server, and none. */
    struct sockaddr_in other = server(54), none = {.sin_family = AF_UNSPEC};
    EXPECT(connect(fd, (struct sockaddr *)&other, sizeof other) == 0 && peer_is(fd, "192.0.2.54", 53));
    EXPECT(connect(fd, (struct sockaddr *)&none, sizeof none) == 0);
    FAILS(getpeername(fd, (struct sockaddr *)&source, &size), ENOTCONN);
    FAILS(send(fd, query, length, 0), EPERM);
    FAILS(reach(fd, "192.0.2.1", 123), EPERM);
    EXPECT(close(fd) == 0);
}

/* By every call that sends, and every one that receives. */
static void scene_calls(void)
{
    int fd = connected_to(53, 0);
    for (int form = 0; form < 10; form++) {
        size_t length = ask_for("form", form, 1);
        struct iovec data[2] = {{query, 5}, {query + 5, length - 5}}, space = {answer, sizeof answer};
        struct sockaddr_in source = {0};
        struct mmsghdr out = {.msg_hdr = {.msg_iov = data, .msg_iovlen = 2}};
        struct mmsghdr in = {.msg_hdr = {&source, sizeof source, &space, 1, NULL, 0, 0}};
        ssize_t sent = form == 0 ? write(fd, query, length)
            : form == 1          ? writev(fd, data, 2)
            : form == 2          ? sendto(fd, query, length, 0, NULL, 0)
            : form == 3          ? sendmsg(fd, &out.msg_hdr, MSG_NOSIGNAL)
            : form == 4          ? (sendmmsg(fd, &out, 1, 0) == 1 ? (ssize_t)out.msg_len : -1)
            : form == 5          ? pwritev2(fd, data, 2, -1, 0)
            : form == 6          ? syscall(SYS_write, fd, query, length)
            : form == 7          ? syscall(SYS_sendto, fd, query, length, 0, NULL, 0)
                                 : send(fd, query, length, 0);
        EXPECT(sent == (ssize_t)length);
        ssize_t got = form == 0 ? read(fd, answer, sizeof answer)
            : form == 1         ? readv(fd, &space, 1)
            : form == 2         ? recv(fd, answer, sizeof answer, 0)
            : form == 3         ? recvmsg(fd, &in.msg_hdr, 0)
            : form == 4         ? (recvmmsg(fd, &in, 1, 0, NULL) == 1 ? (ssize_t)in.msg_len : -1)
            : form == 5         ? preadv2(fd, &space, 1, -1, 0)
            : form == 6         ? syscall(SYS_read, fd, answer, sizeof answer)
            : form == 7 ? syscall(SYS_recvfrom, fd, answer, sizeof answer, 0, NULL, NULL)
            : form == 8 ? recv(fd, answer, sizeof answer, MSG_PEEK)
                        : recv(fd, answer, sizeof answer, MSG_TRUNC);
        EXPECT(is_answer(got, length, form));
        if (form == 3 || form == 4)
            EXPECT(is_from(&source, in.msg_hdr.msg_namelen, 53));
        if (form == 8)
            EXPECT(recv(fd, answer, sizeof answer, MSG_DONTWAIT) == got);
    }
}

static void scene_bad_pointers(void)
{
    int fd = connected_to(53, 0);
    void *const places[] = {page_of(PROT_NONE), page_of(PROT_READ), (void *)-1};
    struct sockaddr_in source;
    socklen_t size = sizeof source, none = 0;
    size_t length = ask_for("bad", 1, 1);
    struct iovec data = {query, length};
    struct mmsghdr *out = (struct mmsghdr *)places[1], own = {.msg_hdr = {.msg_iov = &data, .msg_iovlen = 1}};
    EXPECT(mprotect(out, 65536, PROT_READ | PROT_WRITE) == 0);
    *out = own;
    EXPECT(mprotect(out, 65536, PROT_READ) == 0);
    FAILS(sendmmsg(fd, out, 1, 0), EFAULT);
    for (int i = 0; i < 3; i++) {
        FAILS(getpeername(fd, places[i], &size), EFAULT);
        FAILS(recvmsg(fd, places[i], MSG_PEEK), EFAULT);
        FAILS(recvmmsg(fd, places[i], 2, MSG_PEEK, NULL), EFAULT);
        FAILS(recvfrom(fd, answer, 1, MSG_PEEK, places[i], &size), EFAULT);
        if (i != 1)
            FAILS(recvfrom(fd, answer, 1, MSG_PEEK, (void *)&source, places[i]), EFAULT);
    }
    /* The length of an answer is asked for by no more than a look. */
    EXPECT(recvfrom(fd, NULL, 0, MSG_PEEK | MSG_TRUNC, (void *)&source, &size) == (ssize_t)length + 16);
    EXPECT(recvfrom(fd, NULL, 0, MSG_PEEK | MSG_TRUNC, places[0], &none) == (ssize_t)length + 16);
    EXPECT(is_answer(recv(fd, answer, sizeof answer, 0), length, 1));
}

static void scene_unconnected(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in servers[2] = {server(1), server(2)}, sources[2];
    size_t length = 0;
    for (int i = 0; i < 2; i++) {
        length = ask_for("both", 100 + i, 1);
        struct sockaddr *address = (struct sockaddr *)&servers[i];
        EXPECT(sendto(fd, query, length, 0, address, sizeof *servers) == (ssize_t)length);
    }
    socklen_t size = sizeof sources[0];
    FAILS(getpeername(fd, (struct sockaddr *)sources, &size), ENOTCONN);
    unsigned char data[2][512];
    struct iovec spaces[2] = {{data[0], 512}, {data[1], 512}};
    struct mmsghdr in[2];
    for (int i = 0; i < 2; i++)
        in[i].msg_hdr = (struct msghdr){&sources[i], sizeof *sources, &spaces[i], 1, NULL, 0, 0};
    int got = 0, seen = 0;
    while (got < 2) {
        int more = recvmmsg(fd, in + got, 2 - got, MSG_WAITFORONE, NULL);
        EXPECT(more > 0);
        got += more;
    }
    for (int i = 0; i < 2; i++) {
        int which = data[i][1] - 100;
        EXPECT(which == 0 || which == 1);
        EXPECT(is_from(&sources[i], in[i].msg_hdr.msg_namelen, 1 + which));
        seen |= 1 << which;
    }
    EXPECT(seen == 3);
    /* Nothing but a name server is reached. */
    struct sockaddr_in there = v4("192.0.2.1", 123);
    FAILS(sendto(fd, query, length, 0, (struct sockaddr *)&there, sizeof there), EPERM);
}

static void scene_families(void)
{
    static const char *servers[] = {"2001:db8::53", "::ffff:192.0.2.53", "::1"};
    for (int i = 0; i < 6; i++) {
        struct sockaddr_in6 address = v6(servers[i / 2], 53), source, any = v6("::", 0);
        socklen_t size = sizeof source;
        size_t length = ask_for("six", i, 1);
        int fd = socket(AF_INET6, SOCK_DGRAM, 0);
        EXPECT(bind(fd, (struct sockaddr *)&any, sizeof any) == 0);
        if (i % 2) {
            EXPECT(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
            EXPECT(getpeername(fd, (struct sockaddr *)&source, &size) == 0);
            EXPECT(memcmp(&source.sin6_addr, &address.sin6_addr, 16) == 0);
            EXPECT(send(fd, query, length, 0) == (ssize_t)length);
        } else {
            struct sockaddr *to = (struct sockaddr *)&address;
            EXPECT(sendto(fd, query, length, 0, to, sizeof address) == (ssize_t)length);
        }
        ssize_t got = recvfrom(fd, answer, sizeof answer, 0, (struct sockaddr *)&source, &size);
        EXPECT(is_answer(got, length, i) && size == sizeof source);
        EXPECT(memcmp(&source.sin6_addr, &address.sin6_addr, 16) == 0 && source.sin6_port == htons(53));
        EXPECT(close(fd) == 0);
    }
}

/* Every way to wait, in a loop that asks again and again. */
static void scene_waits(void)
{
    int fd = connected_to(53, SOCK_NONBLOCK), pipes[2];
    EXPECT(pipe(pipes) == 0);
    int level = epoll_create1(0), edge = epoll_create1(0);
    struct epoll_event wish = {EPOLLIN, {.u64 = 5}}, sharp = {EPOLLIN | EPOLLET, {.u64 = 6}}, event;
    EXPECT(epoll_ctl(level, EPOLL_CTL_ADD, fd, &wish) == 0);
    EXPECT(epoll_ctl(edge, EPOLL_CTL_ADD, fd, &sharp) == 0);
    FAILS(recv(fd, answer, sizeof answer, 0), EAGAIN);
    for (int way = 0; way < 8; way++) {
        size_t length = ask_for("wait", way, 1);
        EXPECT(send(fd, query, length, 0) == (ssize_t)length);
        struct pollfd entries[2] = {{pipes[0], POLLIN, 0}, {fd, POLLIN, 0}};
        struct timespec second = {60, 0};
        struct timeval minute = {60, 0};
        fd_set set;
        FD_ZERO(&set);
        FD_SET(fd, &set);
        FD_SET(pipes[0], &set);
        int ready = way == 0 ? poll(entries, 2, -1)
            : way == 1       ? ppoll(entries, 2, &second, NULL)
            : way == 2       ? select(fd + 1 > pipes[0] ? fd + 1 : pipes[0] + 1, &set, NULL, NULL, &minute)
            : way == 3       ? pselect(100, &set, NULL, NULL, NULL, NULL)
            : way == 4       ? epoll_wait(level, &event, 1, -1)
            : way == 5       ? epoll_pwait(edge, &event, 1, 60000, NULL)
            : way == 6       ? epoll_wait(edge, &event, 1, -1)
                             : (int)syscall(SYS_ppoll, entries, 2, &second, NULL, 8);
        EXPECT(ready == 1);
        if (way == 2 || way == 3)
            EXPECT(FD_ISSET(fd, &set) && !FD_ISSET(pipes[0], &set));
        else if (way >= 4 && way <= 6)
            EXPECT(event.data.u64 == (way == 4 ? 5 : 6) && event.events == EPOLLIN);
        else
            EXPECT(entries[1].revents == POLLIN && entries[0].revents == 0);
        EXPECT(is_answer(recv(fd, answer, sizeof answer, 0), length, way));
    }
    /* Time passes as it should. */
    EXPECT(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 1) == 0 && epoll_wait(level, &event, 1, 1) == 0);
}

/* Many at once, each question asked twice as by a program that loses patience. */
static void scene_many(void)
{
    int fd = connected_to(53, 0), seen = 0;
    for (int id = 0; id < 100; id++) {
        size_t length = ask_for("many", id, 1);
        EXPECT(send(fd, query, length, 0) == (ssize_t)length);
        EXPECT(send(fd, query, length, MSG_DONTWAIT) == (ssize_t)length);
    }
    unsigned char had[100] = {0};
    while (seen < 100) {
        EXPECT(recv(fd, answer, sizeof answer, 0) > 12);
        seen += !had[answer[1]];
        had[answer[1]] = 1;
    }
}

/* A time limit of the socket is the program's own: the pieces in which Tor's reply comes do not end a wait. */
static void scene_patient(void)
{
    int fd = connected_to(53, 0);
    struct timeval minute = {60, 0};
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute) == 0);
    for (int way = 0; way < 4; way++) {
        size_t length = ask_for("patient", way, 1);
        struct iovec piece = {answer, sizeof answer};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
        EXPECT(send(fd, query, length, 0) == (ssize_t)length);
        ssize_t got = way == 0 ? recv(fd, answer, sizeof answer, 0)
            : way == 1         ? read(fd, answer, sizeof answer)
            : way == 2         ? recvfrom(fd, answer, sizeof answer, 0, NULL, NULL)
                               : recvmsg(fd, &message, 0);
        EXPECT(is_answer(got, length, way));
    }
}

/* Threads that ask for the first time at once. */
static void *first(void *set_off)
{
    unsigned char message[512], reply[512];
    memcpy(message, query, sizeof message);
    pthread_barrier_wait(set_off);
    int fd = connected_to(53, 0);
    EXPECT(send(fd, message, 31, 0) == 31);
    EXPECT(recv(fd, reply, sizeof reply, 0) == 47);
    return NULL;
}

static void scene_first(void)
{
    pthread_t threads[8];
    pthread_barrier_t set_off;
    EXPECT(ask_for("first", 1, 1) == 31);
    EXPECT(pthread_barrier_init(&set_off, NULL, 8) == 0);
    for (int i = 0; i < 8; i++)
        EXPECT(pthread_create(&threads[i], NULL, first, &set_off) == 0);
    for (int i = 0; i < 8; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
}

static int sleeper;

static void *asker(void *socket)
{
    wait_until_asleep(&sleeper);
    size_t length = ask_for("thread", 9, 1);
    EXPECT(send(*(int *)socket, query, length, 0) == (ssize_t)length);
    pause();
    return NULL;
}

/* A thread waits for what another one asks, and does nothing more about it. */
static void scene_threads(void)
{
    for (int way = 0; way < 4; way++) {
        int fd = connected_to(53, 0), set = epoll_create1(0);
        struct epoll_event wish = {EPOLLIN, {.u64 = 5}}, event;
        EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &wish) == 0);
        pthread_t thread;
        __atomic_store_n(&sleeper, 0, __ATOMIC_RELEASE);
        EXPECT(pthread_create(&thread, NULL, asker, &fd) == 0);
        /* Another thread is here by now: its like may ask at any time. */
        struct sockaddr_in again = server(53);
        EXPECT(connect(fd, (struct sockaddr *)&again, sizeof again) == 0);
        __atomic_store_n(&sleeper, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(fd, &readable);
        if (way == 0)
            EXPECT(is_readable(fd, -1));
        else if (way == 1)
            EXPECT(epoll_wait(set, &event, 1, -1) == 1 && event.data.u64 == 5);
        else if (way == 2)
            EXPECT(select(fd + 1, &readable, NULL, NULL, NULL) == 1);
        EXPECT(recv(fd, answer, sizeof answer, 0) > 12);
    }
}

/* The answer goes to the socket, not to the number that has asked. */
static void scene_duplicates(void)
{
    for (int way = 0; way < 3; way++) {
        int fd = connected_to(53, 0), copy = way == 1 ? -1 : dup(fd);
        size_t length = ask_for("copy", way, 1);
        EXPECT(send(fd, query, length, 0) == (ssize_t)length);
        if (way == 1)
            copy = dup(fd);
        if (way == 2)
            EXPECT(dup2(2, fd) == fd);
        else
            EXPECT(close(fd) == 0);
        EXPECT(is_readable(copy, -1));
        EXPECT(is_answer(recv(copy, answer, sizeof answer, 0), length, way));
        close(copy);
    }
}

/* The question with its length before it, as it goes by TCP. */
static size_t framed(unsigned char *to, size_t length)
{
    to[0] = length >> 8;
    to[1] = length;
    memcpy(to + 2, query, length);
    return length + 2;
}

static int receives_answer(int fd, size_t asked, int id)
{
    unsigned char length[2];
    if (recv(fd, length, 2, MSG_WAITALL) != 2)
        return 0;
    size_t size = length[0] * 256 + length[1];
    return size <= sizeof answer && recv(fd, answer, size, MSG_WAITALL) == (ssize_t)size
        && is_answer(size, asked, id);
}

/* By TCP, to servers that Tor can't reach. */
static void scene_streams(void)
{
    static const char *servers[] = {"127.0.0.53", "10.0.0.53", "192.168.1.1"};
    unsigned char whole[1024];
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(reach(fd, servers[i], 53) == 0 && peer_is(fd, servers[i], 53));
        FAILS(reach(fd, servers[i], 53), EISCONN);
        size_t length = ask_for("tcp", i, 1), size = framed(whole, length);
        EXPECT(write(fd, whole, size) == (ssize_t)size && receives_answer(fd, length, i));
        /* Piece by piece, and two at once. */
        for (size_t at = 0; at < size; at++)
            EXPECT(send(fd, whole + at, 1, 0) == 1);
        EXPECT(receives_answer(fd, length, i));
        size += framed(whole + size, length);
        EXPECT(send(fd, whole, size, 0) == (ssize_t)size && receives_answer(fd, length, i));
        EXPECT(close(fd) == 0);
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd entry = {fd, POLLOUT, 0};
    struct sockaddr_in none = {.sin_family = AF_UNSPEC}, seen;
    socklen_t size_of_seen = sizeof seen;
    EXPECT(reach(fd, "10.0.0.53", 53) == 0 || errno == EINPROGRESS);
    EXPECT(poll(&entry, 1, -1) == 1 && entry.revents == POLLOUT);
    size_t length = ask_for("tcp", 9, 28), size = framed(whole, length);
    EXPECT(send(fd, whole, size, 0) == (ssize_t)size && is_readable(fd, -1));
    /* Of a name that has IPv4 there is no AAAA. */
    EXPECT(recv(fd, answer, sizeof answer, 0) == (ssize_t)length + 2 && answer[1] == length);
    EXPECT(connect(fd, (struct sockaddr *)&none, sizeof none) == 0);
    FAILS(getpeername(fd, (struct sockaddr *)&seen, &size_of_seen), ENOTCONN);
}

/* The kernel alone is asked for the answer. */
static void scene_raw(void)
{
    int fd = connected_to(53, SOCK_NONBLOCK);
    size_t length = ask_for("raw", 5, 1);
    EXPECT(send(fd, query, length, 0) == (ssize_t)length);
    EXPECT(is_answer(raw(SYS_read, fd, (long)answer, sizeof answer, 0), length, 5));
}

static void scene_fork(void)
{
    int fd = connected_to(53, 0), status;
    size_t length = ask_for("parent", 1, 1);
    EXPECT(send(fd, query, length, 0) == (ssize_t)length);
    pid_t child = fork();
    if (child == 0) {
        int own = connected_to(54, 0);
        length = ask_for("child", 2, 1);
        EXPECT(send(own, query, length, 0) == (ssize_t)length);
        EXPECT(is_answer(recv(own, answer, sizeof answer, 0), length, 2));
        _exit(0);
    }
    EXPECT(is_answer(recv(fd, answer, sizeof answer, 0), length, 1));
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    /* A child that asks by its parent's socket. */
    child = fork();
    if (child == 0) {
        length = ask_for("inherited", 3, 1);
        EXPECT(send(fd, query, length, 0) == (ssize_t)length);
        EXPECT(is_answer(recv(fd, answer, sizeof answer, 0), length, 3));
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    length = ask_for("parent", 4, 1);
    EXPECT(send(fd, query, length, 0) == (ssize_t)length);
    EXPECT(is_answer(recv(fd, answer, sizeof answer, 0), length, 4));
}

/* Messages that are not questions that Tor can answer. */
static void scene_others(void)
{
    int fd = connected_to(53, 0);
    size_t length = ask_for("text", 1, 16);
    EXPECT(send(fd, query, length, 0) == (ssize_t)length);
    EXPECT(recv(fd, answer, sizeof answer, 0) == (ssize_t)length && (answer[3] & 15) == 5);
    length = ask_for("mail", 2, 15);
    EXPECT(send(fd, query, length, 0) == (ssize_t)length);
    EXPECT(recv(fd, answer, sizeof answer, 0) == (ssize_t)length && (answer[3] & 15) == 0);
    query[2] = 0x28;
    EXPECT(send(fd, query, length, 0) == (ssize_t)length);
    EXPECT(recv(fd, answer, sizeof answer, 0) == 12 && (answer[3] & 15) == 4);
    /* No query at all is lost, as on the way to any server. */
    EXPECT(send(fd, "leak", 4, 0) == 4 && send(fd, "", 0, 0) == 0);
    EXPECT(!is_readable(fd, 0));
    FAILS(send(fd, (void *)8, 20, 0), EFAULT);
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {
        {"connected", scene_connected},
        {"calls", scene_calls},
        {"unconnected", scene_unconnected},
        {"bad-pointers", scene_bad_pointers},
        {"families", scene_families},
        {"waits", scene_waits},
        {"many", scene_many},
        {"patient", scene_patient},
        {"duplicates", scene_duplicates},
        {"first", scene_first},
        {"threads", scene_threads},
        {"raw", scene_raw},
        {"streams", scene_streams},
        {"fork", scene_fork},
        {"others", scene_others},
        {NULL, NULL},
    };
    return play(scenes, count, arguments);
}
