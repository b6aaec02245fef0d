/* connect ADDRESS PORT [v6only | bound | impatient | interrupted]: connects a socket of the address's
 * family (a v4-mapped address is of IPv6) and prints what became of it, of a second connect on it
 * and on a duplicate, and how many descriptors it cost. v6only sets IPV6_V6ONLY,
 * bound also binds to ::, impatient sets a SO_SNDTIMEO of 0.2 s, interrupted a signal every 10 ms
 * that is handled with SA_RESTART. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static const char *outcome(int result)
{
    return result == 0 ? "ok" : strerrorname_np(errno);
}

static socklen_t parse(const char *address, const char *port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(atoi(port));
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1)
        exit(2);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(atoi(port));
    return sizeof *v6;
}

static void print_peer(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    char text[INET6_ADDRSTRLEN] = "";
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0) {
        printf("peer %s\n", strerrorname_np(errno));
        return;
    }
    int v4 = peer.ss_family == AF_INET;
    const void *address = v4 ? (void *)&((struct sockaddr_in *)&peer)->sin_addr
                             : (void *)&((struct sockaddr_in6 *)&peer)->sin6_addr;
    inet_ntop(peer.ss_family, address, text, sizeof text);
    printf("peer %s port %d\n", text, ntohs(((struct sockaddr_in *)&peer)->sin_port));
}

static void print_echo(int fd)
{
    char echo[5] = "";
    if (write(fd, "echo", 4) != 4 || recv(fd, echo, 4, MSG_WAITALL) != 4)
        strcpy(echo, "none");
    printf("echo %s\n", echo);
}

static void ignore(int number)
{
    (void)number;
}

static void configure(int fd, const char *manner)
{
    if (strcmp(manner, "v6only") == 0 || strcmp(manner, "bound") == 0) {
        int on = 1;
        struct sockaddr_in6 any = {.sin6_family = AF_INET6};
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        if (strcmp(manner, "bound") == 0)
            bind(fd, (struct sockaddr *)&any, sizeof any);
    } else if (strcmp(manner, "impatient") == 0) {
        struct timeval limit = {.tv_usec = 200000};
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    } else {
        struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
        struct itimerval interval = {{.tv_usec = 10000}, {.tv_usec = 10000}};
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &interval, NULL);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_storage storage;
    struct sockaddr *address = (struct sockaddr *)&storage;
    if (argc < 3)
        return 2;
    socklen_t length = parse(argv[1], argv[2], &storage);
    int before = descriptors();
    int fd = socket(storage.ss_family, SOCK_STREAM, 0);
    if (argc > 3)
        configure(fd, argv[3]);
    int result = connect(fd, address, length);
    struct itimerval never = {0};
    setitimer(ITIMER_REAL, &never, NULL);
    printf("connect %s\n", outcome(result));
    print_peer(fd);
    if (result == 0) {
        int duplicate = dup(fd);
        printf("again %s\n", outcome(connect(fd, address, length)));
        printf("duplicate %s\n", outcome(connect(duplicate, address, length)));
        close(duplicate);
        print_echo(fd);
    }
    close(fd);
    printf("descriptors %+d\n", descriptors() - before);
    return 0;
}
