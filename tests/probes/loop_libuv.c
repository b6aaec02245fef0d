/* As loop_asyncio.py, for libuv: loop_libuv COUNT ADDRESS PORT. */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static int count, answered, closed, ticks;
static double gap, last, start;
static uv_timer_t ticking;

static void tick(uv_timer_t *timer)
{
    (void)timer;
    double time = (double)uv_hrtime() / 1e6;
    gap = time - last > gap ? time - last : gap;
    last = time;
    ticks++;
}

static void room(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    (void)handle;
    *buffer = uv_buf_init(malloc(size), (unsigned)size);
}

static void gone(uv_handle_t *handle)
{
    (void)handle;
    if (++closed == count)
        uv_timer_stop(&ticking);
}

static void readable(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    answered += size > 0 && memmem(buffer->base, (size_t)size, "hello", 5) != NULL;
    free(buffer->base);
    if (size < 0)
        uv_close((uv_handle_t *)stream, gone);
}

static void connected(uv_connect_t *request, int status)
{
    static char question[] = "GET / HTTP/1.0\r\n\r\n";
    uv_buf_t buffer = uv_buf_init(question, sizeof question - 1);
    if (status != 0) {
        fprintf(stderr, "%s\n", uv_strerror(status));
        uv_close((uv_handle_t *)request->handle, gone);
        return;
    }
    uv_try_write(request->handle, &buffer, 1);
    uv_read_start(request->handle, room, readable);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    if (argc != 4)
        return 2;
    count = atoi(argv[1]);
    uv_timer_init(loop, &ticking);
    start = last = (double)uv_hrtime() / 1e6;
    uv_timer_start(&ticking, tick, 1, 1);
    for (int i = 1; i <= count; i++) {
        uv_tcp_t *socket = malloc(sizeof *socket);
        struct sockaddr_in address;
        uv_ip4_addr(argv[2], atoi(argv[3]), &address);
        uv_tcp_init(loop, socket);
        uv_tcp_connect(malloc(sizeof(uv_connect_t)), socket, (struct sockaddr *)&address, connected);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    printf("%d %d %.1f %.1f\n", answered, ticks, gap, (double)uv_hrtime() / 1e6 - start);
    return 0;
}
