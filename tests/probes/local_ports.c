/* local_ports COUNT ADDRESS PORT: connects COUNT times and keeps the connections; looks names up, by libc unless it
 * is STATIC, and by a question of its own to a name server; then sends something by each connection and reads the
 * echo. Prints how many lookups and echoes went well. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A question for the address of a.example (RFC 1035, section 4.1). */
static const char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\1a\7example\0\0\1\0\1";

static struct sockaddr_in at(const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    inet_pton(AF_INET, address, &to.sin_addr);
    return to;
}

static int asks_libc(void)
{
#ifdef STATIC
    return 1;
#else
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo("a.example", "7", &hints, &list) != 0)
        return 0;
    freeaddrinfo(list);
    return 1;
#endif
}

static int asks_name_server(void)
{
    struct sockaddr_in server = at("192.0.2.53", "53");
    char answer[512];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int good = sendto(fd, question, sizeof question - 1, 0, (struct sockaddr *)&server, sizeof server) > 0 &&
               recv(fd, answer, sizeof answer, 0) > (int)sizeof question;
    close(fd);
    return good;
}

int main(int argc, char **argv)
{
    int fds[16], count = argc > 3 ? atoi(argv[1]) : 0, lookups, echoes = 0;
    char echo[4];
    if (count < 1 || count > 16)
        return 2;
    struct sockaddr_in to = at(argv[2], argv[3]);
    for (int i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5}, sizeof(struct timeval));
        if (connect(fds[i], (struct sockaddr *)&to, sizeof to) != 0)
            return perror("connect"), 1;
    }
    lookups = asks_libc() + asks_name_server();
    for (int i = 0; i < count; i++)
        echoes += send(fds[i], "echo", 4, MSG_NOSIGNAL) == 4 && recv(fds[i], echo, 4, MSG_WAITALL) == 4;
    printf("%d lookups, %d echoes\n", lookups, echoes);
    return 0;
}
