/* A program that connects from each address of this machine; its destination sends back what comes. With an
   argument it asks a name server from there. */
#define _GNU_SOURCE 1
#include <ifaddrs.h>

#include "scene.h"

static int is_bound(int fd, const struct sockaddr_in *own, const char *host, int port)
{
    struct sockaddr_in address = v4(host, port);
    return bind(fd, (const struct sockaddr *)own, sizeof *own) == 0
        && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

int main(int count, char **arguments)
{
    static const char query[] = "\0\7\1\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1";
    struct ifaddrs *all;
    char reply[200];
    (void)arguments;
    EXPECT(getifaddrs(&all) == 0);
    for (struct ifaddrs *each = all; each; each = each->ifa_next) {
        if (!each->ifa_addr || each->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in own = *(struct sockaddr_in *)each->ifa_addr;
        if (count > 1) {
            int fd = socket(AF_INET, SOCK_DGRAM, 0);
            EXPECT(is_bound(fd, &own, "192.0.2.53", 53));
            EXPECT(send(fd, query, sizeof query - 1, 0) == sizeof query - 1);
            EXPECT(recv(fd, reply, sizeof reply, 0) > 12 && reply[1] == 7);
        } else {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            EXPECT(is_bound(fd, &own, "192.0.2.1", 80));
            EXPECT(send(fd, "echo", 4, 0) == 4 && recv(fd, reply, 4, MSG_WAITALL) == 4);
            fd = socket(AF_INET, SOCK_STREAM, 0);
            EXPECT(bind(fd, (struct sockaddr *)&own, sizeof own) == 0);
            if (ntohl(own.sin_addr.s_addr) >> 24 != 127)
                FAILS(listen(fd, 1), EPERM);
        }
    }
    struct sockaddr_in foreign = v4("198.51.100.1", 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(bind(fd, (struct sockaddr *)&foreign, sizeof foreign), EADDRNOTAVAIL);
    puts("done");
    return 0;
}
