/* threads COUNT TIMES: each thread resolves a name of its own, connects, sends, reads the echo,
 * compares the peer's address and closes, TIMES over; prints how often all of that went well. */
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_int well;
static int times;

static int talk(int fd, const struct addrinfo *to)
{
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    char echo[4];
    return connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
           memcmp(&peer, to->ai_addr, sizeof peer) == 0 && send(fd, "echo", 4, 0) == 4 &&
           recv(fd, echo, 4, MSG_WAITALL) == 4 && memcmp(echo, "echo", 4) == 0;
}

static void *work(void *number)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    char name[64];
    snprintf(name, sizeof name, "n%d.wild.test", (int)(size_t)number);
    for (int i = 0; i < times; i++) {
        if (getaddrinfo(name, "7", &hints, &list) != 0)
            continue;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int good = talk(fd, list);
        well += good && close(fd) == 0;
        freeaddrinfo(list);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[100];
    int count = argc > 2 ? atoi(argv[1]) : 0;
    if (count < 1 || count > 100)
        return 2;
    times = atoi(argv[2]);
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work, (void *)(size_t)i);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("%d of %d\n", well, count * times);
    return 0;
}
