/* As loop_asyncio.py, for libevent: loop_libevent COUNT ADDRESS PORT METHOD (epoll, poll or select). */
#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct event_base *base;
static int count, answered, closed, ticks;
static double gap, last, start;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void tick(evutil_socket_t fd, short what, void *unused)
{
    (void)fd, (void)what, (void)unused;
    double time = now();
    gap = time - last > gap ? time - last : gap;
    last = time;
    ticks++;
}

static void readable(struct bufferevent *stream, void *unused)
{
    (void)unused;
    char answer[1024];
    size_t size = bufferevent_read(stream, answer, sizeof answer - 1);
    answer[size] = 0;
    answered += strstr(answer, "hello") != NULL;
}

static void changed(struct bufferevent *stream, short what, void *unused)
{
    (void)unused;
    if (what & BEV_EVENT_CONNECTED) {
        bufferevent_write(stream, "GET / HTTP/1.0\r\n\r\n", 18);
        return;
    }
    bufferevent_free(stream);
    if (++closed == count)
        event_base_loopbreak(base);
}

int main(int argc, char **argv)
{
    static const char *const methods[] = {"epoll", "poll", "select"};
    struct event_config *config = event_config_new();
    if (argc != 5)
        return 2;
    count = atoi(argv[1]);
    for (int i = 0; i < 3; i++)
        if (strcmp(methods[i], argv[4]) != 0)
            event_config_avoid_method(config, methods[i]);
    base = event_base_new_with_config(config);
    struct event *ticking = event_new(base, -1, EV_PERSIST, tick, NULL);
    struct timeval often = {0, 1000};
    start = last = now();
    event_add(ticking, &often);
    for (int i = 1; i <= count; i++) {
        struct bufferevent *stream = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
        inet_pton(AF_INET, argv[2], &address.sin_addr);
        bufferevent_setcb(stream, readable, NULL, changed, NULL);
        bufferevent_enable(stream, EV_READ | EV_WRITE);
        bufferevent_socket_connect(stream, (struct sockaddr *)&address, sizeof address);
    }
    event_base_dispatch(base);
    if (strcmp(event_base_get_method(base), argv[4]) != 0)
        return 3;
    printf("%d %d %.1f %.1f\n", answered, ticks, gap, now() - start);
    return 0;
}
