/* Calls that fail, or succeed, without a network: what they answer must be the same with and without
   us. Prints one line each. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "scene.h"

#define SHOW(call)                                                   \
    do {                                                             \
        errno = 0;                                                   \
        long result = (long)(call);                                  \
        printf("%s%s = %ld %d\n", subject, #call, result, errno);    \
    } while (0)

static const char *subject = "";
static void *const bad = (void *)8, *const minus_one = (void *)-1;
static void *gone;

/* Addresses that lead nowhere, whatever the socket. */
static void addresses(int fd)
{
    static const int families[] = {AF_UNIX, AF_AX25, AF_PACKET, AF_NETLINK, AF_BLUETOOTH, 255, 0xffff};
    struct sockaddr_storage address = {0};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        address.ss_family = (sa_family_t)families[i];
        memcpy((char *)&address + 2, "/nonexistent", 12);
        SHOW(connect(fd, (void *)&address, 16));
        SHOW(connect(fd, (void *)&address, 28));
        SHOW(connect(fd, (void *)&address, 128));
        SHOW(syscall(SYS_connect, fd, &address, 110));
    }
    address.ss_family = AF_INET;
    SHOW(connect(fd, (void *)&address, 0));
    SHOW(connect(fd, (void *)&address, 1));
    SHOW(connect(fd, (void *)&address, 8));
    SHOW(connect(fd, (void *)&address, 15));
    SHOW(connect(fd, (void *)&address, 129));
    SHOW(connect(fd, (void *)&address, -1));
    address.ss_family = AF_INET6;
    SHOW(connect(fd, (void *)&address, 16));
    SHOW(connect(fd, (void *)&address, 23));
    SHOW(connect(fd, NULL, 16));
    SHOW(connect(fd, bad, 16));
    SHOW(connect(fd, minus_one, 16));
    SHOW(connect(fd, gone, 16));
    SHOW(connect(fd, gone, 128));
}

static void names(int fd)
{
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen, none = 0, negative = (socklen_t)-1;
    SHOW(getpeername(fd, (void *)&seen, &length));
    SHOW(getpeername(fd, (void *)&seen, &none));
    SHOW(getpeername(fd, NULL, &none));
    SHOW(getpeername(fd, (void *)&seen, &negative));
    SHOW(getpeername(fd, (void *)&seen, NULL));
    SHOW(getpeername(fd, (void *)&seen, minus_one));
    SHOW(getpeername(fd, (void *)&seen, bad));
    SHOW(getpeername(fd, (void *)&seen, gone));
    SHOW(getpeername(fd, gone, gone));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, gone, &length));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &seen, gone));
    length = sizeof seen;
    SHOW(getpeername(fd, NULL, &length));
    SHOW(getpeername(fd, bad, &length));
    SHOW(getpeername(fd, minus_one, &length));
    SHOW(getpeername(fd, gone, &length));
}

static void data(int fd)
{
    char byte = 0, control[64] = {0};
    struct iovec place = {&byte, 1}, nowhere = {gone, 1};
    struct msghdr message = {.msg_iov = &place, .msg_iovlen = 1};
    struct mmsghdr many = {.msg_hdr = message};
    SHOW(send(fd, &byte, 0, MSG_DONTWAIT));
    SHOW(send(fd, gone, 1, MSG_DONTWAIT));
    SHOW(sendto(fd, &byte, 0, MSG_DONTWAIT, NULL, 16));
    SHOW(sendto(fd, &byte, 0, MSG_DONTWAIT, (void *)control, 0));
    SHOW(sendto(fd, &byte, 0, MSG_DONTWAIT, bad, 16));
    SHOW(sendto(fd, &byte, 0, MSG_DONTWAIT, gone, 16));
    SHOW(sendto(fd, &byte, 0, MSG_DONTWAIT, (void *)control, -1));
    SHOW(sendmsg(fd, &message, MSG_DONTWAIT | MSG_OOB));
    SHOW(sendmsg(fd, NULL, MSG_DONTWAIT));
    SHOW(sendmsg(fd, minus_one, MSG_DONTWAIT));
    SHOW(sendmsg(fd, gone, MSG_DONTWAIT));
    SHOW(sendmsg(fd, (void *)((char *)gone - 8), MSG_DONTWAIT));
    SHOW(sendmmsg(fd, gone, 2, MSG_DONTWAIT));
    SHOW(sendmmsg(fd, gone, 0, MSG_DONTWAIT));
    SHOW(recvmsg(fd, gone, MSG_DONTWAIT));
    SHOW(recvmmsg(fd, gone, 2, MSG_DONTWAIT, NULL));
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    SHOW(sendmsg(fd, &message, MSG_DONTWAIT));
    message.msg_control = gone;
    SHOW(sendmsg(fd, &message, MSG_DONTWAIT));
    message.msg_control = NULL;
    message.msg_controllen = 0;
    message.msg_iov = &nowhere;
    SHOW(sendmsg(fd, &message, MSG_DONTWAIT));
    message.msg_iov = &place;
    SHOW(sendmmsg(fd, &many, 0, MSG_DONTWAIT));
    SHOW(sendmmsg(fd, NULL, 1, MSG_DONTWAIT));
    SHOW(recv(fd, &byte, 1, MSG_DONTWAIT));
    SHOW(recvfrom(fd, &byte, 1, MSG_DONTWAIT, NULL, NULL));
    SHOW(recvmsg(fd, &message, MSG_DONTWAIT));
    SHOW(recvmsg(fd, NULL, MSG_DONTWAIT));
    SHOW(recvmmsg(fd, &many, 1, MSG_DONTWAIT, NULL));
    SHOW(recvmmsg(fd, NULL, 1, MSG_DONTWAIT, NULL));
}

static void states(int fd)
{
    int value = 0;
    socklen_t length = sizeof value, negative = (socklen_t)-1;
    struct linger linger = {0, 0};
    SHOW(shutdown(fd, SHUT_RDWR));
    SHOW(shutdown(fd, 77));
    SHOW(accept(fd, NULL, NULL));
    SHOW(accept4(fd, NULL, NULL, 1 << 30));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, bad, &length));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, NULL));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &negative));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, bad, sizeof linger));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, gone, sizeof linger));
    SHOW(setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof value));
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 1));
    SHOW(ioctl(fd, FIONREAD, &value));
    SHOW(ioctl(fd, FIONREAD, NULL));
    SHOW(splice(fd, NULL, fd, NULL, 1, SPLICE_F_NONBLOCK));
}

static void copies(int fd)
{
    SHOW(dup2(fd, fd) == fd);
    SHOW(dup3(fd, fd, 0));
    SHOW(dup3(fd, 300, 77));
    SHOW(dup2(fd, -1));
    SHOW(dup2(fd, 1 << 30));
    SHOW(fcntl(fd, F_DUPFD, -1));
    SHOW(fcntl(fd, F_DUPFD, 1 << 30));
    SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 300));
    SHOW(close(300));
    SHOW(close(300));
    SHOW(fcntl(fd, 9999, 0));
}

static void waits(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    struct timespec none = {0, 0}, wrong = {0, -1};
    int set = epoll_create1(0);
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
    SHOW(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, fd, NULL));
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, fd, gone));
    SHOW(epoll_ctl(set, 77, fd, &event));
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, set, &event));
    SHOW(epoll_wait(set, &event, 0, 0));
    SHOW(epoll_wait(fd, &event, 1, 0));
    SHOW(epoll_wait(set, &event, 1, 0));
    SHOW(poll(&entry, 1, 0));
    printf("%srevents %d\n", subject, entry.revents);
    SHOW(poll(bad, 1, 0));
    SHOW(ppoll(&entry, 1, &wrong, NULL));
    SHOW(ppoll(&entry, 1, &none, NULL));
    SHOW(epoll_pwait2(set, &event, 1, gone, NULL));
    SHOW(epoll_pwait2(set, &event, 1, bad, NULL));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, gone, 8));
    close(set);
}

/* Bound to where anybody may listen. */
static int local(int family)
{
    struct sockaddr_in four = v4("127.0.0.1", 0);
    struct sockaddr_in6 six = v6("::1", 0);
    int fd = socket(family, SOCK_STREAM, 0);
    if (family == AF_INET)
        bind(fd, (struct sockaddr *)&four, sizeof four);
    else
        bind(fd, (struct sockaddr *)&six, sizeof six);
    return fd;
}

static void all(const char *what, int fd)
{
    subject = what;
    addresses(fd);
    names(fd);
    copies(fd);
    waits(fd);
    data(fd);
    states(fd);
}

/* Status of a child that looks for the descriptor of a file action with these flags. */
static int opens_for_a_child(int flags)
{
    char *arguments[] = {"sh", "-c", "test -e /proc/self/fd/77", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 77, "/dev/null", flags, 0);
    errno = posix_spawn(&child, "/bin/sh", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (errno != 0 || waitpid(child, &status, 0) != child)
        return -1;
    return status;
}

int main(void)
{
    int pair[2], ends[2];
    signal(SIGPIPE, SIG_IGN);
    gone = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(gone != MAP_FAILED && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
    all("IPv4: ", local(AF_INET));
    all("IPv6: ", local(AF_INET6));
    all("UNIX stream: ", socket(AF_UNIX, SOCK_STREAM, 0));
    all("UNIX datagram: ", socket(AF_UNIX, SOCK_DGRAM, 0));
    all("UNIX pair: ", pair[0]);
    all("netlink: ", socket(AF_NETLINK, SOCK_RAW, 0));
    all("pipe: ", ends[0]);
    all("nothing: ", 999);
    all("negative: ", -1);
    subject = "";
    SHOW(close_range(5, 4, 0));
    SHOW(close_range(3, ~0U, 1 << 30));
    SHOW(socket(AF_UNIX, 77, 0));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, bad));
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, pair));
    SHOW(accept(socket(AF_INET, SOCK_STREAM, 0), NULL, NULL));
    SHOW(accept4(socket(AF_INET6, SOCK_STREAM, 0), NULL, NULL, 0));
    char *arguments[] = {"/bin/true", NULL}, *unreadable[] = {"A=B", gone, NULL};
    pid_t child;
    SHOW(execve(gone, arguments, environ));
    SHOW(execve(minus_one, arguments, environ));
    SHOW(execve("/bin/true", gone, environ));
    SHOW(execve("/bin/true", unreadable, environ));
    SHOW(execve("/bin/true", arguments, gone));
    SHOW(execve("/bin/true", arguments, unreadable));
    SHOW(syscall(SYS_execve, gone, arguments, environ));
    SHOW(syscall(SYS_execveat, AT_FDCWD, gone, arguments, environ, 0));
    SHOW(syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, unreadable, 0));
    SHOW(posix_spawn(&child, gone, NULL, NULL, arguments, environ) + (errno = 0));
    SHOW(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, gone) + (errno = 0));
    SHOW(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, unreadable) + (errno = 0));
    SHOW(posix_spawn(&child, "/bin/true", NULL, NULL, unreadable, environ) + (errno = 0));
    SHOW(execve("/nonexistent", arguments, environ));
    SHOW(fexecve(-1, arguments, environ));
    SHOW(opens_for_a_child(O_RDONLY));
    SHOW(opens_for_a_child(O_RDONLY | O_CLOEXEC));
    return 0;
}
