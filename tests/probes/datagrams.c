/* UDP sockets: what may be asked by them, and that they send nothing; one scene for each argument. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "scene.h"

static struct sockaddr_in local(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    EXPECT(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    return address;
}

/* A socket on loopback to which nothing must come. */
static int trap(void)
{
    struct sockaddr_in here = v4("127.0.0.1", 0);
    int fd = (int)raw(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0, 0);
    EXPECT(raw(SYS_bind, fd, (long)&here, sizeof here, 0) == 0);
    return fd;
}

static int is_empty(int fd)
{
    char byte;
    return raw(SYS_read, fd, (long)&byte, 1, 0) == -EAGAIN;
}

static void scene_questions(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int wide = socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
    EXPECT(fd >= 0 && wide >= 0);
    struct ifreq request = {.ifr_name = "lo"}, all[8];
    struct ifconf list = {.ifc_len = sizeof all, .ifc_req = all};
    EXPECT(ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_LOOPBACK);
    EXPECT(ioctl(wide, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0);
    EXPECT(ioctl(fd, SIOCGIFCONF, &list) == 0 && list.ifc_len > 0);
    struct sockaddr_in any = v4("0.0.0.0", 0);
    EXPECT(bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && local(fd).sin_port != 0);
    struct pollfd entry = {fd, POLLIN, 0};
    EXPECT(poll(&entry, 1, 0) == 0);
    EXPECT(syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0) >= 0);
    int pair[2];
    FAILS(socketpair(AF_INET, SOCK_DGRAM, 0, pair), EOPNOTSUPP);
    EXPECT(close(fd) == 0 && close(wide) == 0);
}

/* The kernel keeps to the interface lo, whatever the program asks for. */
static void scene_confined(void)
{
    for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET) {
        int fd = socket(family, SOCK_DGRAM, 0), none = 0;
        char name[IFNAMSIZ] = "";
        socklen_t length = sizeof name;
        EXPECT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0) == 0);
        EXPECT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "\0", 2) == 0);
        EXPECT(setsockopt(fd, SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */, &none, sizeof none) == 0);
        EXPECT(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length) == 0);
        EXPECT(strcmp(name, "lo") == 0);
        FAILS(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 4), EPERM);
        struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xe00000fb)};
        FAILS(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group), EPERM);
    }
}

/* Every call that sends, without an address. */
static void sends_nothing(int fd)
{
    char text[] = "leak";
    struct iovec data = {text, 4};
    struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = &data, .msg_iovlen = 1}}};
    many[1] = many[0];
    FAILS(send(fd, text, 4, 0), EPERM);
    FAILS(sendto(fd, text, 4, 0, NULL, 0), EPERM);
    FAILS(sendmsg(fd, &many[0].msg_hdr, 0), EPERM);
    FAILS(sendmmsg(fd, many, 2, 0), EPERM);
    FAILS(syscall(SYS_sendto, fd, text, 4, 0, NULL, 0), EPERM);
    FAILS(syscall(SYS_sendmsg, fd, &many[0].msg_hdr, 0), EPERM);
}

static void writes_nothing(int fd)
{
    char text[] = "leak";
    struct iovec data = {text, 4};
    int pipes[2], file = memfd_create("data", 0);
    EXPECT(pipe(pipes) == 0 && write(pipes[1], text, 4) == 4 && write(file, text, 4) == 4);
    off_t start = 0;
    FAILS(write(fd, text, 4), EPERM);
    FAILS(writev(fd, &data, 1), EPERM);
    FAILS(pwritev2(fd, &data, 1, -1, 0), EPERM);
    FAILS(sendfile(fd, file, &start, 4), EPERM);
    FAILS(splice(pipes[0], NULL, fd, NULL, 4, 0), EPERM);
    FAILS(syscall(SYS_write, fd, text, 4), EPERM);
    FAILS(syscall(SYS_writev, fd, &data, 1), EPERM);
    FAILS(syscall(SYS_sendfile, fd, file, &start, 4), EPERM);
    FAILS(syscall(SYS_splice, pipes[0], NULL, fd, NULL, 4, 0), EPERM);
    close(pipes[0]);
    close(pipes[1]);
    close(file);
}

/* Its own sockets, and their duplicates. */
static void scene_own(void)
{
    int stop = trap(), fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in there = v4("192.0.2.1", 123), here = local(stop);
    int names[] = {fd, dup(fd), fcntl(fd, F_DUPFD, 100), dup2(fd, 200)};
    for (int i = 0; i < 4; i++) {
        FAILS(connect(names[i], (struct sockaddr *)&there, sizeof there), EPERM);
        FAILS(connect(names[i], (struct sockaddr *)&here, sizeof here), EPERM);
        FAILS(sendto(names[i], "leak", 4, 0, (struct sockaddr *)&there, sizeof there), EPERM);
        FAILS(sendto(names[i], "leak", 4, 0, (struct sockaddr *)&here, sizeof here), EPERM);
        sends_nothing(names[i]);
        writes_nothing(names[i]);
    }
    /* Connected where no hook sees it. */
    EXPECT(raw(SYS_connect, fd, (long)&here, sizeof here, 0) == 0);
    sends_nothing(names[3]);
    writes_nothing(names[3]);
    EXPECT(is_empty(stop));
}

/* Sockets that no hook has seen: made in assembly, or by another process. */
static void scene_foreign(void)
{
    int stop = trap();
    struct sockaddr_in here = local(stop);
    int fd = (int)raw(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0);
    EXPECT(raw(SYS_connect, fd, (long)&here, sizeof here, 0) == 0);
    sends_nothing(fd);
    EXPECT(is_empty(stop));
    int packets = (int)raw(SYS_socket, AF_PACKET, SOCK_DGRAM, 0, 0);
    if (packets >= 0)
        sends_nothing(packets);
}

/* A number that was closed past every hook is another file by now. */
static void scene_numbers(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), pair[2], pipes[2];
    char byte;
    EXPECT(raw(SYS_pipe2, (long)pipes, 0, 0, 0) == 0);
    EXPECT(raw(SYS_dup3, pipes[1], fd, 0, 0) == fd);
    EXPECT(write(fd, "x", 1) == 1 && read(pipes[0], &byte, 1) == 1);
    EXPECT(raw(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, (long)pair) == 0);
    EXPECT(raw(SYS_dup3, pair[0], fd, 0, 0) == fd);
    EXPECT(send(fd, "x", 1, 0) == 1 && recv(pair[1], &byte, 1, 0) == 1);
    /* And the other way round. */
    int stream = connected("192.0.2.1", 80);
    raw(SYS_close, stream, 0, 0, 0);
    EXPECT(socket(AF_INET, SOCK_DGRAM, 0) == stream);
    sends_nothing(stream);
    writes_nothing(stream);
}

/* With AllowOutboundLocalhost 2. */
static void scene_localhost(void)
{
    int stop = trap(), fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = local(stop);
    char bytes[4];
    EXPECT(sendto(fd, "data", 4, 0, (struct sockaddr *)&here, sizeof here) == 4);
    EXPECT(recv(stop, bytes, 4, 0) == 4);
    EXPECT(connect(fd, (struct sockaddr *)&here, sizeof here) == 0);
    EXPECT(send(fd, "data", 4, 0) == 4 && write(fd, "data", 4) == 4);
    EXPECT(recv(stop, bytes, 4, 0) == 4 && recv(stop, bytes, 4, 0) == 4);
    FAILS(reach(fd, "192.0.2.1", 123), EPERM);
}

/* Options that would lead a TCP socket made elsewhere past its address. */
static void scene_routes(void)
{
    unsigned char seen[40];
    int fd = (int)raw(SYS_socket, AF_INET, SOCK_STREAM, 0, 0);
    socklen_t length = sizeof seen;
    /* The fifth argument, the length, is in a register that only syscall(2) fills. */
    EXPECT(setsockopt(fd, IPPROTO_IP, IP_TOS, &(int){0}, sizeof(int)) == 0);
#if defined(__x86_64__)
    unsigned char route[] = {0x83, 7, 4, 192, 0, 2, 9, 0};
    long result;
    register long fourth __asm__("r10") = (long)route;
    register long fifth __asm__("r8") = sizeof route;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"((long)SYS_setsockopt), "D"((long)fd), "S"((long)IPPROTO_IP),
                       "d"((long)IP_OPTIONS), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    EXPECT(result == 0);
    EXPECT(getsockopt(fd, IPPROTO_IP, IP_OPTIONS, seen, &length) == 0 && length > 0);
#endif
    EXPECT(reach(fd, "192.0.2.1", 80) == 0 && echoes(fd));
    length = sizeof seen;
    EXPECT(getsockopt(fd, IPPROTO_IP, IP_OPTIONS, seen, &length) == 0 && length == 0);
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {
        {"questions", scene_questions},
        {"confined", scene_confined},
        {"own", scene_own},
        {"foreign", scene_foreign},
        {"numbers", scene_numbers},
        {"localhost", scene_localhost},
        {"routes", scene_routes},
        {NULL, NULL},
    };
    return play(scenes, count, arguments);
}
