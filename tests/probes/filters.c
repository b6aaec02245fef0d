/* A program under a seccomp filter of its own, which kills for every system call that the program does
   not make itself; one scene for each argument. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <linux/audit.h>
#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "filter.h"
#include "scene.h"

enum { MOST_CALLS = 48 };

/* Kills the process for all but `calls`, which a -1 ends, and for its own end. */
static void permit(const int *calls)
{
    struct sock_filter filter[MOST_CALLS + 4];
    int length = 0, count = 0;
    while (calls[count] >= 0)
        count++;
    EXPECT(count < MOST_CALLS);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i <= count; i++) {
        int number = i < count ? calls[i] : SYS_exit_group;
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, count + 1 - i, 0);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    enter_filter(filter, length);
}

/* Objects of the calls: a UNIX pair with a byte on its way to pair[0], a pipe likewise, a
   memory file, an epoll set, a listener that a client has connected to. */
static int pair[2], ends[2], memory, set, listener;
static struct sockaddr_un name = {.sun_family = AF_UNIX};
static socklen_t name_length;
static char byte;
static struct iovec piece = {&byte, 1};
static char room[256];

static void set_up(void)
{
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
    memory = memfd_create("memory", 0);
    set = epoll_create1(0);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    name_length = offsetof(struct sockaddr_un, sun_path) + 1
        + snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "filters.%d", getpid());
    EXPECT(bind(listener, (struct sockaddr *)&name, name_length) == 0 && listen(listener, 4) == 0);
    EXPECT(connect(client, (struct sockaddr *)&name, name_length) == 0);
    EXPECT(memory >= 0 && set >= 0 && write(memory, "m", 1) == 1 && lseek(memory, 0, SEEK_SET) == 0);
    EXPECT(write(pair[1], "x", 1) == 1 && write(ends[1], "x", 1) == 1);
}

/* A message with room for descriptors. */
static struct msghdr message(int length)
{
    return (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1, .msg_control = room, .msg_controllen = length};
}

static ssize_t send_descriptors(const int *descriptors, int count)
{
    struct msghdr sent = message(CMSG_SPACE(sizeof(int) * count));
    struct cmsghdr *header = CMSG_FIRSTHDR(&sent);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int) * count), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
    return sendmsg(pair[1], &sent, 0);
}

static int descriptors_sent[3];

/* Receives the byte, and then a memory file, a pipe's end and a UNIX socket. */
static int receive_descriptors(int many)
{
    struct mmsghdr received = {.msg_hdr = message(sizeof room)};
    int flags = MSG_DONTWAIT;
    if (recv(pair[0], &byte, 1, flags) != 1)
        return 0;
    if (many ? recvmmsg(pair[0], &received, 1, flags, NULL) != 1 : recvmsg(pair[0], &received.msg_hdr, flags) != 1)
        return 0;
    struct cmsghdr *header = CMSG_FIRSTHDR(&received.msg_hdr);
    return header && header->cmsg_len == CMSG_LEN(sizeof descriptors_sent);
}

static int waits(int events)
{
    struct pollfd entry = {pair[0], events, 0};
    return poll(&entry, 1, 0) == 1 && ppoll(&entry, 1, &(struct timespec){0, 0}, NULL) == 1;
}

static int selects(void)
{
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(pair[0], &readable);
    return select(pair[0] + 1, &readable, NULL, NULL, &(struct timeval){0, 0}) == 1
        && pselect(pair[0] + 1, &readable, NULL, NULL, &(struct timespec){0, 0}, NULL) == 1;
}

static int polls_a_set(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = pair[0]};
    return epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event) == 0 && epoll_wait(set, &event, 1, 0) == 1
        && epoll_ctl(set, EPOLL_CTL_DEL, pair[0], &event) == 0;
}

static int names_and_options(void)
{
    struct sockaddr_un seen;
    socklen_t length = sizeof seen, size = sizeof(int);
    int value = 1, count;
    return getpeername(pair[0], (struct sockaddr *)&seen, &length) == 0
        && getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &value, &size) == 0
        && setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &value, sizeof value) == 0
        && ioctl(pair[0], FIONREAD, &count) == 0;
}

static int sends_messages(void)
{
    struct msghdr plain = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr many = {.msg_hdr = plain};
    return sendmsg(pair[0], &plain, 0) == 1 && sendmmsg(pair[0], &many, 1, 0) == 1
        && send_descriptors((int[]){memory, ends[0], set}, 3) == 1;
}

static int duplicates(void)
{
    return dup(pair[0]) >= 0 && dup2(memory, 100) == 100 && dup3(ends[0], 101, 0) == 101
        && fcntl(pair[0], F_DUPFD_CLOEXEC, 102) >= 102 && fcntl(pair[0], F_GETFL) >= 0;
}

#if defined(__x86_64__)
#define NUMBERS_OF_WAITS SYS_poll, SYS_ppoll
#define NUMBERS_OF_SELECTS SYS_select, SYS_pselect6
#define NUMBERS_OF_SETS SYS_epoll_ctl, SYS_epoll_wait
#define NUMBERS_OF_DUPLICATES SYS_dup, SYS_dup2, SYS_dup3, SYS_fcntl
#else
#define NUMBERS_OF_WAITS SYS_ppoll
#define NUMBERS_OF_SELECTS SYS_pselect6
#define NUMBERS_OF_SETS SYS_epoll_ctl, SYS_epoll_pwait
#define NUMBERS_OF_DUPLICATES SYS_dup, SYS_dup3, SYS_fcntl
#endif

/* Runs `call` in a child that is killed for any other system call than those given. */
#define ONLY(call, ...)                                                                   \
    do {                                                                                  \
        int status;                                                                       \
        fflush(stdout);                                                                   \
        pid_t child = fork();                                                             \
        if (child == 0) {                                                                 \
            permit((const int[]){__VA_ARGS__, -1});                                       \
            _exit(!(call));                                                               \
        }                                                                                 \
        EXPECT(child > 0 && waitpid(child, &status, 0) == child);                         \
        if (status != 0) {                                                                \
            printf("line %d: %s: status %#x\n", __LINE__, #call, status);                 \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

static void scene_local(void)
{
    set_up();
    char small[4];
    ONLY(read(pair[0], small, 4) == 1 && read(ends[0], small, 4) == 1, SYS_read);
    ONLY(write(pair[1], "x", 1) == 1 && write(ends[1], "x", 1) == 1, SYS_write);
    /* A file is asked about where that is permitted, a socket then only if it may be asked, too. */
    ONLY(write(pair[0], "x", 1) == 1 && write(ends[1], "x", 1) == 1, SYS_write, SYS_fstat);
    ONLY(write(pair[0], "x", 1) == 1, SYS_write, SYS_fstat, SYS_sendmsg);
    ONLY(write(pair[0], "x", 1) == 1, SYS_write, SYS_fstat, SYS_getsockopt);
    ONLY(readv(memory, &piece, 1) == 1 && writev(pair[0], &piece, 1) == 1, SYS_readv, SYS_writev);
    ONLY(recv(pair[0], small, 4, MSG_PEEK) == 1, SYS_recvfrom);
    /* By sendmsg a socket is asked whether it is a UNIX socket. */
    ONLY(send(pair[0], "y", 1, 0) == 1, SYS_sendto, SYS_sendmsg);
    ONLY(sendfile(pair[0], memory, &(off_t){0}, 1) == 1, SYS_sendfile);
    ONLY(splice(ends[0], NULL, pair[0], NULL, 1, SPLICE_F_NONBLOCK) == 1, SYS_splice);
    /* No filter forbids rt_sigprocmask, by which addresses, lengths and control data are read. */
    ONLY(sends_messages(), SYS_sendmsg, SYS_sendmmsg, SYS_rt_sigprocmask);
    ONLY(waits(POLLIN), NUMBERS_OF_WAITS);
    ONLY(selects(), NUMBERS_OF_SELECTS);
    ONLY(polls_a_set(), NUMBERS_OF_SETS);
    ONLY(names_and_options(), SYS_getpeername, SYS_getsockopt, SYS_setsockopt, SYS_ioctl, SYS_rt_sigprocmask);
    ONLY(duplicates(), NUMBERS_OF_DUPLICATES);
    ONLY(shutdown(pair[0], SHUT_WR) == 0 && close(pair[0]) == 0 && close(memory) == 0, SYS_shutdown, SYS_close);
    ONLY(close_range(pair[0], pair[1], 0) == 0, SYS_close_range);
    ONLY(socket(AF_UNIX, SOCK_STREAM, 0) >= 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, SYS_socket, SYS_socketpair);
    ONLY(accept(listener, NULL, NULL) >= 0, SYS_accept, SYS_sendmsg);
    ONLY(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, name_length) == 0, SYS_socket, SYS_connect, SYS_rt_sigprocmask);
}

/* With descriptors that came in a message a program may do what their kind is for, and to know the kind
   fstat is asked, and of a socket sendmsg. */
static void scene_received(void)
{
    set_up();
    descriptors_sent[0] = memory;
    descriptors_sent[1] = ends[0];
    descriptors_sent[2] = set;
    EXPECT(send_descriptors(descriptors_sent, 3) == 1);
    ONLY(receive_descriptors(0), SYS_recvfrom, SYS_recvmsg, SYS_fstat);
    EXPECT(write(pair[1], "x", 1) == 1 && send_descriptors(descriptors_sent, 3) == 1);
    ONLY(receive_descriptors(1), SYS_recvfrom, SYS_recvmmsg, SYS_fstat);
    descriptors_sent[2] = listener;
    EXPECT(write(pair[1], "x", 1) == 1 && send_descriptors(descriptors_sent, 3) == 1);
    ONLY(receive_descriptors(0), SYS_recvfrom, SYS_recvmsg, SYS_fstat, SYS_sendmsg);
}

/* If all descriptors are taken, nothing is asked, of network sockets neither. */
static void scene_allowed(void)
{
    set_up();
    descriptors_sent[0] = memory;
    descriptors_sent[1] = (int)raw(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0);
    descriptors_sent[2] = (int)raw(SYS_socket, AF_INET6, SOCK_STREAM, 0, 0);
    EXPECT(send_descriptors(descriptors_sent, 3) == 1);
    ONLY(receive_descriptors(0), SYS_recvfrom, SYS_recvmsg);
}

/* Calls of a client whose names libc looks up in files and asks a name server for. */
#define NUMBERS_OF_CLIENTS                                                                                   \
    NUMBERS_OF_WAITS, SYS_openat, SYS_newfstatat, SYS_fstat, SYS_lseek, SYS_read, SYS_write, SYS_close,      \
        SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_uname, SYS_getrandom,                  \
        SYS_clock_gettime, SYS_futex, SYS_getpid, SYS_gettid, SYS_rt_sigprocmask, SYS_fcntl, SYS_ioctl,      \
        SYS_socket, SYS_connect, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt,           \
        SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg

static int looks_up(const char *host)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, "80", &hints, &found) != 0)
        return 0;
    freeaddrinfo(found);
    return 1;
}

static int looks_up_and_connects(const char *host, int flags)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, "80", &hints, &found) != 0)
        return 0;
    int stream = socket(found->ai_family, found->ai_socktype | flags, found->ai_protocol);
    int is_connected = connect(stream, found->ai_addr, found->ai_addrlen) == 0;
    if (flags) {
        struct pollfd entry = {stream, POLLOUT, 0};
        is_connected = !is_connected && errno == EINPROGRESS && poll(&entry, 1, -1) == 1 && fcntl(stream, F_SETFL, 0) == 0;
    }
    freeaddrinfo(found);
    return is_connected && send(stream, "hello", 5, 0) == 5 && recv(stream, room, 5, MSG_WAITALL) == 5
        && close(stream) == 0;
}

/* /etc/hosts is read for each, and Tor is asked for the second, by a stream of its own. */
static void scene_names(void)
{
    ONLY(looks_up("localhost"), NUMBERS_OF_CLIENTS);
    ONLY(looks_up("box.example"), NUMBERS_OF_CLIENTS);
    ONLY(gethostbyname("box.example") != NULL, NUMBERS_OF_CLIENTS);
    ONLY(looks_up_and_connects("abcdefghijklmnop.onion", 0), NUMBERS_OF_CLIENTS);
    /* For a socket that does not wait, the program's file is read. */
    ONLY(looks_up_and_connects("abcdefghijklmnop.onion", SOCK_NONBLOCK), NUMBERS_OF_CLIENTS, NUMBERS_OF_SETS);
}

/* Refuses one option of getsockopt. */
static void refuse_option(int option)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, option, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    enter_filter(filter, sizeof filter / sizeof *filter);
}

/* Sockets from before the filter and from after it. The first of a process is asked for more than the others. */
static void scene_option(void)
{
    int first = socket(AF_INET, SOCK_STREAM, 0), before = socket(AF_INET, SOCK_STREAM, 0);
    refuse_option(SO_PROTOCOL);
    int after = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(reach(first, "192.0.2.1", 80) == 0 && peer_is(first, "192.0.2.1", 80) && echoes(first));
    EXPECT(reach(before, "192.0.2.2", 80) == 0 && peer_is(before, "192.0.2.2", 80) && echoes(before));
    EXPECT(reach(after, "192.0.2.3", 80) == 0 && peer_is(after, "192.0.2.3", 80) && echoes(after));
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {
        {"option", scene_option},
        {"local", scene_local}, {"received", scene_received}, {"allowed", scene_allowed}, {"names", scene_names}, {0}};
    return play(scenes, count, arguments);
}
