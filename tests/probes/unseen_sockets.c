/* Sockets that a program makes or connects by system calls of its own and then gives to libc; one scene
   for each argument. Nothing leaves the machine: the peers are sockets of this program's. */
#define _GNU_SOURCE 1
#include <aio.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "scene.h"

static struct sockaddr_in address_of(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    EXPECT(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    return address;
}

static int made(int kind) { return (int)raw(SYS_socket, AF_INET, kind, 0, 0); }

static void bind_to(int fd, struct in_addr host)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = host};
    EXPECT(raw(SYS_bind, fd, (long)&address, sizeof address, 0) == 0);
}

static long reached(int fd, struct sockaddr_in peer)
{
    return raw(SYS_connect, fd, (long)&peer, sizeof peer, 0);
}

static const struct in_addr loopback = {0x0100007f};

/* An address of this machine that is not the loopback's; an exit would have to lead there. */
static struct in_addr own_address(void)
{
    struct ifaddrs *all;
    EXPECT(getifaddrs(&all) == 0);
    for (struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET && !(one->ifa_flags & IFF_LOOPBACK))
            return ((struct sockaddr_in *)one->ifa_addr)->sin_addr;
    }
    puts("this machine has no address but the loopback's: not tried");
    puts("done");
    exit(0);
}

/* A UDP socket that is connected to another one. */
static int datagrams(int *other)
{
    *other = made(SOCK_DGRAM);
    bind_to(*other, loopback);
    int fd = made(SOCK_DGRAM);
    EXPECT(reached(fd, address_of(*other)) == 0);
    return fd;
}

/* A TCP socket that is connected to `host` past the hooks. */
static int stream(struct in_addr host, int *other)
{
    int listener = made(SOCK_STREAM), fd = made(SOCK_STREAM);
    bind_to(listener, host);
    EXPECT(raw(SYS_listen, listener, 1, 0, 0) == 0);
    EXPECT(reached(fd, address_of(listener)) == 0);
    EXPECT((*other = (int)raw(SYS_accept, listener, 0, 0, 0)) >= 0);
    return fd;
}

static int by_list(int fd, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vdprintf(fd, format, arguments);
    va_end(arguments);
    return count;
}

/* Lets a thread of libc's write, and waits for it. */
static ssize_t by_thread(int fd, int in_list)
{
    struct aiocb request = {.aio_fildes = fd, .aio_buf = (void *)"x", .aio_nbytes = 1, .aio_lio_opcode = LIO_WRITE};
    struct aiocb *list[] = {NULL, &request};
    if ((in_list ? lio_listio(LIO_NOWAIT, list, 2, NULL) : aio_write(&request)) != 0)
        return -1;
    while (aio_error(&request) == EINPROGRESS)
        aio_suspend((const struct aiocb **)list, 2, NULL);
    errno = aio_error(&request);
    return aio_return(&request);
}

/* Lets the kernel write apart, which libc has no function for. */
static ssize_t by_kernel(int fd)
{
    struct iocb request = {.aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (uintptr_t)"x", .aio_nbytes = 1};
    struct iocb *list[] = {&request};
    struct io_event event = {0};
    aio_context_t requests = 0;
    EXPECT(syscall(SYS_io_setup, 1, &requests) == 0);
    long begun = syscall(SYS_io_submit, requests, 1, list);
    int saved = errno;
    if (begun == 1)
        EXPECT(syscall(SYS_io_getevents, requests, 1, 1, &event, NULL) == 1);
    EXPECT(syscall(SYS_io_destroy, requests) == 0);
    errno = saved;
    return begun == 1 ? (ssize_t)event.res : begun;
}

enum { FORMS = 17 };

static ssize_t sent(int form, int fd)
{
    struct iovec piece = {"x", 1};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};
    int ends[2], self = open("/proc/self/exe", O_RDONLY);
    EXPECT(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    errno = 0;
    ssize_t count = form == 0 ? write(fd, "x", 1)
        : form == 1           ? writev(fd, &piece, 1)
        : form == 2           ? pwritev2(fd, &piece, 1, -1, 0)
        : form == 3           ? send(fd, "x", 1, 0)
        : form == 4           ? sendto(fd, "x", 1, 0, NULL, 0)
        : form == 5           ? sendmsg(fd, &message.msg_hdr, 0)
        : form == 6           ? sendmmsg(fd, &message, 1, 0)
        : form == 7           ? sendfile(fd, self, NULL, 1)
        : form == 8           ? splice(ends[0], NULL, fd, NULL, 1, 0)
        : form == 9           ? dprintf(fd, "x")
        : form == 10          ? by_list(fd, "x")
        : form == 11          ? syscall(SYS_write, fd, "x", 1)
        : form == 12          ? syscall(SYS_sendfile, fd, self, NULL, 1)
        : form == 13          ? syscall(SYS_writev, fd, &piece, 1)
        : form == 16          ? by_kernel(fd)
                              : by_thread(fd, form == 15);
    int saved = errno;
    close(ends[0]);
    close(ends[1]);
    close(self);
    errno = saved;
    return count;
}

static void sends_nothing(int fd, int other)
{
    char byte;
    for (int twice = 0; twice < 2; twice++) {
        for (int form = 0; form < FORMS; form++) {
            if (sent(form, fd) != -1 || errno != EPERM) {
                printf("form %d (errno %d)\n", form, errno);
                exit(1);
            }
        }
    }
    errno = 0;
    EXPECT(fdopen(fd, "w") == NULL && errno == EPERM);
    FAILS(dup2(fd, 1), EPERM);
    FAILS(dup3(fd, 2, O_CLOEXEC), EPERM);
    EXPECT(raw(SYS_recvfrom, other, (long)&byte, 1, MSG_DONTWAIT) == -EAGAIN);
}

static void sends(int fd, int other)
{
    char byte;
    for (int form = 0; form < FORMS; form++) {
        EXPECT(sent(form, fd) == 1);
        EXPECT(raw(SYS_recvfrom, other, (long)&byte, 1, 0) == 1);
    }
}

static void scene_datagrams(void)
{
    int other, fd = datagrams(&other);
    sends_nothing(fd, other);
}

/* Puts the process under a filter that forbids one call. */
static void forbid(int number, int by_prctl)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, filter};
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    EXPECT((by_prctl ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
                     : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) == 0);
}

/* A filter of the program's own hides nothing that it lets be asked. */
static void scene_filtered(void)
{
    unsigned action = SECCOMP_RET_KILL_PROCESS;
    EXPECT(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0);
    for (int filters = 0; filters < 3; filters++) {
        int other, fd = datagrams(&other), pair[2];
        sends_nothing(fd, other);
        EXPECT(raw(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (long)pair) == 0);
        sends(pair[0], pair[1]);
        forbid(SYS_ptrace, filters);
    }
}

/* A socket of a family that could leave the machine is connected nowhere. */
static void scene_family(void)
{
    struct sockaddr_in inet = v4("127.0.0.1", 1);
    struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 1};
    int fd = (int)raw(SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0);
    if (fd < 0) {
        puts("this kernel has no AF_VSOCK: not tried");
        return;
    }
    FAILS(connect(fd, (struct sockaddr *)&host, sizeof host), EPERM);
    FAILS(connect(fd, (struct sockaddr *)&inet, sizeof inet), EPERM);
}

static void scene_stream(void)
{
    int other, fd = stream(own_address(), &other);
    struct sockaddr_in ignored = v4("127.0.0.1", 1);
    sends_nothing(fd, other);
    FAILS(sendto(fd, "x", 1, 0, (struct sockaddr *)&ignored, sizeof ignored), EPERM);
    sends_nothing(dup(fd), other);
}

/* Made by libc, but connected past it. */
static void scene_connected(void)
{
    struct in_addr host = own_address();
    int listener = made(SOCK_STREAM), fd = socket(AF_INET, SOCK_STREAM, 0), copy = dup(fd);
    bind_to(listener, host);
    EXPECT(raw(SYS_listen, listener, 1, 0, 0) == 0);
    EXPECT(reached(fd, address_of(listener)) == 0);
    int other = (int)raw(SYS_accept, listener, 0, 0, 0);
    sends_nothing(fd, other);
    sends_nothing(copy, other);
}

/* After libc has let go of a peer. */
static void scene_dissolved(void)
{
    struct in_addr host = own_address();
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int listener = made(SOCK_STREAM), fd = connected("192.0.2.1", 80), copy = dup(fd);
    EXPECT(write(copy, "x", 1) == 1 && write(fd, "x", 1) == 1);
    bind_to(listener, host);
    EXPECT(raw(SYS_listen, listener, 1, 0, 0) == 0);
    EXPECT(connect(fd, &none, sizeof none) == 0);
    EXPECT(reached(fd, address_of(listener)) == 0);
    int other = (int)raw(SYS_accept, listener, 0, 0, 0);
    sends_nothing(copy, other);
    sends_nothing(fd, other);
}

/* On this machine, and between its processes, data go. */
static void scene_local(void)
{
    int other, fd = stream(loopback, &other), pair[2];
    sends(fd, other);
    sends(other, fd);
    EXPECT(raw(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (long)pair) == 0);
    sends(pair[0], pair[1]);
}

/* A connection that was there when the program began is the user's, under whatever number. */
static void scene_inherited(void)
{
    char *arguments[] = {"unseen_sockets", "inherits", NULL};
    int other, fd = stream(own_address(), &other);
    EXPECT(raw(SYS_dup3, fd, 60, 0, 0) == 60 && raw(SYS_dup3, other, 61, 0, 0) == 61);
    execv("/proc/self/exe", arguments);
    EXPECT(!"executed");
}

static void scene_inherits(void)
{
    sends(60, 61);
    sends(dup(60), 61);
    EXPECT(dup2(60, 70) == 70);
    sends(70, 61);
    sends(fcntl(70, F_DUPFD, 80), 61);
}

/* A number that was written to as a file's is looked at again, whatever has closed it. */
static void scene_numbers(void)
{
    enum { NUMBER = 50, LARGE = 1500 };
    for (int number = NUMBER; number <= LARGE; number += LARGE - NUMBER) {
        for (int form = 0; form < 7; form++) {
            int other, fd = datagrams(&other), ends[2];
            EXPECT(pipe(ends) == 0 && raw(SYS_dup3, ends[1], number, 0, 0) == number);
            EXPECT(write(number, "x", 1) == 1 && write(number, "x", 1) == 1);
            FILE *stream = form == 2 || form == 3 ? fdopen(number, "w") : NULL;
            EXPECT(form == 0     ? close(number) == 0
                       : form == 1 ? close_range(number, number + 5, 0) == 0
                       : form == 2 ? fclose(stream) == 0
                       : form == 3 ? freopen("/nonexistent/file", "w", stream) == NULL
                       : form == 4 ? dup2(fd, number) == number
                       : form == 5 ? dup3(fd, number, O_CLOEXEC) == number
                                   : (closefrom(LARGE), number == LARGE || close(number) == 0));
            EXPECT(raw(SYS_dup3, fd, number, 0, 0) == number);
            sends_nothing(number, other);
            close(number);
            close(fd);
        }
    }
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {
        {"datagrams", scene_datagrams}, {"filtered", scene_filtered}, {"family", scene_family}, {"stream", scene_stream},   {"connected", scene_connected},
        {"dissolved", scene_dissolved}, {"local", scene_local},     {"numbers", scene_numbers},
        {"inherited", scene_inherited}, {"inherits", scene_inherits},
        {0},
    };
    return play(scenes, count, arguments);
}
