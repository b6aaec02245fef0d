/* getnameinfo where no name is asked for: what it prints must be the same with and without us. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void show(const char *what, const void *address, socklen_t length, int room, int service_room, int flags)
{
    char host[300] = "-", service[64] = "-";
    int result = getnameinfo(address, length, room ? host : NULL, (socklen_t)room,
        service_room ? service : NULL, (socklen_t)service_room, flags);
    printf("%s, %x: %d", what, flags, result);
    if (result == 0)
        printf(" %s %s", host, service);
    puts("");
}

int main(void)
{
    static const int flags[] = {0, NI_NUMERICSERV, NI_DGRAM, NI_NOFQDN, NI_NAMEREQD, NI_IDN, 1 << 20};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct sockaddr_in6 scoped = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_scope_id = 1};
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(512)};
    struct sockaddr_un local = {AF_UNIX, "/tmp/socket"};
    inet_pton(AF_INET, "192.0.2.1", &four.sin_addr);
    inet_pton(AF_INET6, "fe80::1", &scoped.sin6_addr);
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int all = flags[i] | NI_NUMERICHOST;
        show("IPv4", &four, sizeof four, 300, 64, all);
        show("scoped", &scoped, sizeof scoped, 300, 64, all);
        show("mapped", &mapped, sizeof mapped, 300, 64, all);
        show("UNIX", &local, sizeof local, 300, 64, all);
        show("service only", &four, sizeof four, 0, 64, flags[i]);
    }
    show("nothing", &four, sizeof four, 0, 0, 0);
    show("a short host", &four, sizeof four, 3, 64, NI_NUMERICHOST);
    show("a short service", &four, sizeof four, 300, 2, NI_NUMERICHOST);
    show("a short address", &four, 8, 300, 64, 0);
    show("a short IPv6 address", &scoped, 20, 300, 64, 0);
    show("no address", &four, 0, 300, 64, 0);
    return 0;
}
