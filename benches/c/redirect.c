// Connects so many times to an address by so many threads at once; prints microseconds per connect: the median,
// and the whole time by the number of connects.
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in place = {.sin_family = AF_INET};
static int rounds;
static double *samples;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void *run(void *argument) {
    double *own = samples + (long)argument * rounds;
    for (int round = 0; round < rounds; round++) {
        double start = now();
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&place, sizeof place)) perror("connect"), exit(1);
        own[round] = now() - start;
        close(fd);
    }
    return NULL;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **words) {
    if (count < 5) return 2;
    inet_pton(AF_INET, words[1], &place.sin_addr);
    place.sin_port = htons(atoi(words[2]));
    int threads = atoi(words[3]);
    rounds = atoi(words[4]);
    samples = calloc(threads * rounds, sizeof *samples);
    pthread_t ids[threads];
    double start = now();
    for (long i = 0; i < threads; i++) pthread_create(&ids[i], NULL, run, (void *)i);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    double whole = now() - start;
    qsort(samples, threads * rounds, sizeof *samples, by_size);
    printf("%.1f %.1f\n", samples[threads * rounds / 2], whole / (threads * rounds));
}
