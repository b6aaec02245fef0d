/* leak WAY: one way to reach 198.51.100.1 past Tor; what comes of it only the network sees. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <dlfcn.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

extern __typeof__(connect) __connect;

static struct sockaddr_in there = {.sin_family = AF_INET};
static const struct sockaddr *address = (struct sockaddr *)&there;
static const socklen_t size = sizeof there;
static char text[] = "leak", host[] = "198.51.100.1", *name = host;

static struct iovec data = {text, 4};
static struct msghdr message = {
    .msg_name = &there, .msg_namelen = sizeof there, .msg_iov = &data, .msg_iovlen = 1};

static int tcp(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int udp(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0);
}

static void by_sendto(void)
{
    sendto(udp(), text, 4, 0, address, size);
}

static void by_sendmsg(void)
{
    sendmsg(udp(), &message, 0);
}

static void by_sendmmsg(void)
{
    struct mmsghdr many = {.msg_hdr = message};
    sendmmsg(udp(), &many, 1, 0);
}

static void by_udp_connect(void)
{
    int fd = udp();
    if (connect(fd, address, size) == 0)
        (void)!write(fd, text, 4);
}

static void by_system_calls(void)
{
    int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    syscall(SYS_connect, fd, address, size);
    fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    syscall(SYS_sendto, fd, text, 4, 0, address, size);
    syscall(SYS_sendmsg, fd, &message, 0);
}

static void by_fast_open(void)
{
    sendto(tcp(), text, 4, MSG_FASTOPEN, address, size);
    sendmsg(tcp(), &message, MSG_FASTOPEN);
    struct mmsghdr many = {.msg_hdr = message};
    sendmmsg(tcp(), &many, 1, MSG_FASTOPEN);
}

static void by_fast_open_connect(void)
{
    int fd = tcp(), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
    connect(fd, address, size);
    (void)!write(fd, text, 4);
}

static void by_alias(void)
{
    __connect(tcp(), address, size);
}

static void by_handle(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    int (*direct)(int, const struct sockaddr *, socklen_t) = dlsym(libc, "connect");
    direct(tcp(), address, size);
}

static void by_icmp(int kind)
{
    struct icmphdr echo = {.type = ICMP_ECHO, .checksum = 0xfff7};
    sendto(socket(AF_INET, kind, IPPROTO_ICMP), &echo, sizeof echo, 0, address, size);
}

static void by_raw_socket(void)
{
    by_icmp(SOCK_RAW);
}

static void by_packet_socket(void)
{
    struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5),
        .sll_ifindex = (int)if_nametoindex("trap"), .sll_halen = 6};
    int fd = socket(AF_PACKET, SOCK_DGRAM, htons(0x88b5));
    sendto(fd, text, 4, 0, (struct sockaddr *)&link, sizeof link);
}

static void by_mptcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    connect(fd >= 0 ? fd : tcp(), address, size);
}

/* Loose source route by way of 198.51.100.1, to where Tor is. */
static void by_source_route(void)
{
    unsigned char route[] = {0x83, 7, 4, 198, 51, 100, 1, 0};
    struct sockaddr_in tor = {.sin_family = AF_INET, .sin_port = htons(9050)};
    inet_pton(AF_INET, "198.51.100.2", &tor.sin_addr);
    int fd = tcp();
    setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, sizeof route);
    connect(fd, (struct sockaddr *)&tor, sizeof tor);
}

static void by_interface(void)
{
    int fd = tcp();
    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "trap", 5);
    connect(fd, address, size);
}

static void by_rcmd(void)
{
    int error;
    rcmd(&name, htons(7), "me", "me", "true", &error);
}

static void by_rexec(void)
{
    int error;
    rexec(&name, htons(7), "me", "secret", "true", &error);
}

static void by_ruserok(void)
{
    ruserok("v4only.test", 0, "me", "me");
}

static const struct {
    const char *name;
    void (*go)(void);
} ways[] = {
    {"sendto", by_sendto},
    {"sendmsg", by_sendmsg},
    {"sendmmsg", by_sendmmsg},
    {"udp-connect", by_udp_connect},
    {"system-calls", by_system_calls},
    {"fast-open", by_fast_open},
    {"fast-open-connect", by_fast_open_connect},
    {"alias", by_alias},
    {"handle", by_handle},
    {"raw-socket", by_raw_socket},
    {"packet-socket", by_packet_socket},
    {"mptcp", by_mptcp},
    {"source-route", by_source_route},
    {"interface", by_interface},
    {"rcmd", by_rcmd},
    {"rexec", by_rexec},
    {"ruserok", by_ruserok},
};

int main(int count, char **arguments)
{
    there.sin_port = htons(7);
    inet_pton(AF_INET, host, &there.sin_addr);
    for (size_t i = 0; count == 2 && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(arguments[1], ways[i].name) == 0) {
            ways[i].go();
            return 0;
        }
    }
    return 2;
}
