/* race ADDRESS PORT: connects duplicates of one socket from many threads at once; prints how many
 * connects succeeded and how many were refused with EALREADY or EISCONN. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 16 };

static pthread_barrier_t barrier;
static struct sockaddr_in destination = {.sin_family = AF_INET};
static atomic_int succeeded, refused;

static void *race(void *argument)
{
    int duplicate = *(int *)argument;
    pthread_barrier_wait(&barrier);
    if (connect(duplicate, (struct sockaddr *)&destination, sizeof destination) == 0)
        succeeded++;
    else if (errno == EALREADY || errno == EISCONN)
        refused++;
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    int duplicates[THREADS];
    if (argc != 3 || inet_pton(AF_INET, argv[1], &destination.sin_addr) != 1)
        return 2;
    destination.sin_port = htons(atoi(argv[2]));
    pthread_barrier_init(&barrier, NULL, THREADS);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    for (int i = 0; i < THREADS; i++) {
        duplicates[i] = dup(fd);
        pthread_create(&threads[i], NULL, race, &duplicates[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%d succeeded, %d refused\n", succeeded, refused);
    return 0;
}
