/* getaddrinfo where nobody is asked: what it answers must be the same with and without us. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void print(const struct addrinfo *list)
{
    for (; list; list = list->ai_next) {
        char host[INET6_ADDRSTRLEN] = "";
        const struct sockaddr_in *four = (const void *)list->ai_addr;
        const struct sockaddr_in6 *six = (const void *)list->ai_addr;
        if (list->ai_family == AF_INET)
            inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        else
            inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        printf("  %x %d %d %d %u %s %u %u %s\n", list->ai_flags, list->ai_family, list->ai_socktype,
            list->ai_protocol, list->ai_addrlen, host, ntohs(four->sin_port),
            list->ai_family == AF_INET6 ? six->sin6_scope_id : 0,
            list->ai_canonname ? list->ai_canonname : "-");
    }
}

int main(void)
{
    /* Those from NAMES on are names for libc, unless they are said to be numbers. */
    enum { NAMES = 11 };
    static const char *nodes[] = {NULL, "*", "192.0.2.1", "0xc0.1", "010.2", "1.2.3", "4294967295", "::1",
        "fe80::1%lo", "fe80::1%1", "::ffff:192.0.2.1", "256.1.1.1", "fe80::1%nosuch", "1:2", "192.0.2.1%lo", "a.name"};
    static const char *services[] = {NULL, "80", "http", "nosuch", "65536", "-1", "", "domain", "080", "8 0"};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, 99};
    static const int types[][2] = {{0, 0}, {SOCK_STREAM, 0}, {SOCK_DGRAM, 0}, {SOCK_RAW, 0}, {77, 0}, {0, IPPROTO_UDP},
        {SOCK_STREAM, IPPROTO_UDP}, {SOCK_RAW, 99}};
    static const int flags[] = {0, AI_PASSIVE, AI_CANONNAME, AI_NUMERICSERV, AI_NUMERICHOST | AI_PASSIVE, AI_V4MAPPED,
        AI_V4MAPPED | AI_ALL, 1 << 20};
#define COUNT(array) (sizeof(array) / sizeof *(array))
    for (size_t n = 0; n < COUNT(nodes); n++)
        for (size_t s = 0; s < COUNT(services); s++)
            for (size_t f = 0; f < COUNT(families); f++)
                for (size_t t = 0; t < COUNT(types); t++)
                    for (size_t i = 0; i < COUNT(flags); i++) {
                        struct addrinfo hints = {.ai_family = families[f], .ai_socktype = types[t][0],
                            .ai_protocol = types[t][1], .ai_flags = flags[i]}, *list = NULL;
                        if (n >= NAMES)
                            hints.ai_flags |= AI_NUMERICHOST;
                        int code = getaddrinfo(nodes[n], services[s], &hints, &list);
                        printf("%s %s %d %d %d %x: %d\n", nodes[n] ? nodes[n] : "(none)",
                            services[s] ? services[s] : "(none)", families[f], types[t][0], types[t][1],
                            flags[i], code);
                        if (code == 0) {
                            print(list);
                            freeaddrinfo(list);
                        }
                    }
    return 0;
}
