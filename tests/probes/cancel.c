/* A thread is cancelled in a call, one scene for each call: it ends there, and nothing is left. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "scene.h"

static int fd, other, is_cleaned_up, thread_id;
/* The signals that clean_up finds blocked. */
static sigset_t blocked;

static void accept_one(void)
{
    accept(fd, NULL, NULL);
}

static void accept_another(void)
{
    accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

static struct sockaddr_un name = {.sun_family = AF_UNIX};

static void connect_it(void)
{
    connect(other, (struct sockaddr *)&name, sizeof name);
}

static void receive(void)
{
    char text[8], control[64];
    struct iovec place = {text, sizeof text};
    struct msghdr message = {
        .msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    recvmsg(fd, &message, 0);
}

static void receive_many(void)
{
    char text[8];
    struct iovec place = {text, sizeof text};
    struct mmsghdr many = {.msg_hdr = {.msg_iov = &place, .msg_iovlen = 1}};
    recvmmsg(fd, &many, 1, 0, NULL);
}

static char much[1 << 16];

static void send_much(void)
{
    struct iovec place = {much, sizeof much};
    struct msghdr message = {.msg_iov = &place, .msg_iovlen = 1};
    while (sendmsg(fd, &message, 0) > 0)
        ;
}

static void send_many(void)
{
    struct iovec place = {much, sizeof much};
    struct mmsghdr many = {.msg_hdr = {.msg_iov = &place, .msg_iovlen = 1}};
    while (sendmmsg(fd, &many, 1, 0) > 0)
        ;
}

static void send_to(void)
{
    while (sendto(fd, much, sizeof much, 0, NULL, 0) > 0)
        ;
}

static void poll_it(void)
{
    struct pollfd entry = {fd, POLLIN, 0};
    poll(&entry, 1, -1);
}

static void ppoll_it(void)
{
    struct pollfd entry = {fd, POLLIN, 0};
    ppoll(&entry, 1, NULL, NULL);
}

static void select_it(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    select(fd + 1, &set, NULL, NULL, NULL);
}

static void pselect_it(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    pselect(fd + 1, &set, NULL, NULL, NULL, NULL);
}

static void wait_for_events(void)
{
    struct epoll_event event;
    epoll_wait(other, &event, 1, -1);
}

static void wait_for_events_with_a_mask(void)
{
    struct epoll_event event;
    epoll_pwait(other, &event, 1, -1, NULL);
}

static void wait_for_events_in_nanoseconds(void)
{
    struct epoll_event event;
    epoll_pwait2(other, &event, 1, NULL, NULL);
}

static char little[8];

static void read_it(void)
{
    if (read(fd, little, sizeof little) < 0)
        return;
}

static void read_pieces(void)
{
    struct iovec place = {little, sizeof little};
    if (readv(fd, &place, 1) < 0)
        return;
}

static void receive_plainly(void)
{
    recv(fd, little, sizeof little, 0);
}

static void receive_from(void)
{
    struct sockaddr_storage sender;
    socklen_t length = sizeof sender;
    recvfrom(fd, little, sizeof little, 0, (struct sockaddr *)&sender, &length);
}

static void splice_it(void)
{
    splice(fd, NULL, other, NULL, 1, 0);
}

static void write_it(void)
{
    while (write(fd, much, sizeof much) > 0)
        ;
}

static void write_pieces(void)
{
    struct iovec place = {much, sizeof much};
    while (writev(fd, &place, 1) > 0)
        ;
}

static void send_plainly(void)
{
    while (send(fd, much, sizeof much, 0) > 0)
        ;
}

/* libc kills the shell only. */
static void run_a_command(void)
{
    if (system("exec sleep 60") != 0)
        return;
}

static void lock_file(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(fd, F_SETLKW, &lock);
}

static void close_it(void)
{
    close(fd);
}

static void clean_up(void *unused)
{
    (void)unused;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    is_cleaned_up = 1;
}

struct call {
    void (*function)(void);
    int is_early;
};

static void *thread(void *argument)
{
    struct call *call = argument;
    pthread_cleanup_push(clean_up, NULL);
    __atomic_store_n(&thread_id, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    if (call->is_early)
        EXPECT(pthread_cancel(pthread_self()) == 0);
    call->function();
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancel(void (*function)(void), int is_early)
{
    struct call call = {function, is_early};
    pthread_t id;
    void *result;
    is_cleaned_up = 0;
    thread_id = 0;
    EXPECT(pthread_create(&id, NULL, thread, &call) == 0);
    if (!is_early) {
        wait_until_asleep(&thread_id);
        EXPECT(pthread_cancel(id) == 0);
    }
    EXPECT(pthread_join(id, &result) == 0);
    EXPECT(result == PTHREAD_CANCELED && is_cleaned_up);
}

/* And the library goes on. */
static void use(void)
{
    int fresh = connected("192.0.2.1", 80);
    EXPECT(echoes(fresh) && peer_is(fresh, "192.0.2.1", 80));
    EXPECT(close(fresh) == 0 && is_forgotten(fresh));
}

static void both(void (*function)(void))
{
    cancel(function, 1);
    cancel(function, 0);
    use();
}

static void scene_accept(void)
{
    struct sockaddr_in address = v4("127.0.0.1", 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
    both(accept_one);
    both(accept_another);
}

static void scene_receive(void)
{
    fd = connected("192.0.2.1", 80);
    both(receive);
    both(receive_many);
    both(read_it);
    both(read_pieces);
    both(receive_plainly);
    both(receive_from);
    int both_ends[2];
    EXPECT(pipe(both_ends) == 0);
    other = both_ends[1];
    both(splice_it);
    EXPECT(echoes(fd));
}

/* For a connection, and for what is none. */
static void scene_wait(void)
{
    int pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    for (int i = 0; i < 2; i++) {
        fd = i == 0 ? connected("192.0.2.1", 80) : pair[0];
        other = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN};
        EXPECT(other >= 0 && epoll_ctl(other, EPOLL_CTL_ADD, fd, &event) == 0);
        both(poll_it);
        both(ppoll_it);
        both(select_it);
        both(pselect_it);
        both(wait_for_events);
        both(wait_for_events_with_a_mask);
        both(wait_for_events_in_nanoseconds);
    }
}

static void scene_system(void)
{
    both(run_a_command);
}

static void scene_send(void)
{
    int pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    fd = pair[0];
    both(send_much);
    both(send_many);
    both(send_to);
    both(write_it);
    both(write_pieces);
    both(send_plainly);
}

static void scene_fcntl(void)
{
    char path[] = "/tmp/epochsocks.XXXXXX";
    fd = mkstemp(path);
    EXPECT(fd >= 0 && unlink(path) == 0);
    /* Somebody else holds the lock: by open file description, so in this process. */
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    other = open(name, O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    EXPECT(other >= 0 && fcntl(other, F_OFD_SETLK, &lock) == 0);
    both(lock_file);
}

/* At a server whose queue is full. */
static void scene_connect(void)
{
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "epochsocks-cancel-%d", getpid());
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 0) == 0);
    int first = socket(AF_UNIX, SOCK_STREAM, 0);
    other = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(connect(first, (struct sockaddr *)&name, sizeof name) == 0);
    both(connect_it);
    EXPECT(close(accept(fd, NULL, NULL)) == 0);
    EXPECT(connect(other, (struct sockaddr *)&name, sizeof name) == 0);
}

/* A thread that is cancelled in close has not closed: the descriptor is open and has its entry. */
static void scene_close(void)
{
    fd = connected("192.0.2.1", 80);
    cancel(close_it, 1);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd));
    FAILS(reach(fd, "192.0.2.1", 80), EISCONN);
    EXPECT(close(fd) == 0 && is_forgotten(fd));
    use();
}

static int ends[2];

/* Waits for a connect, and for a pipe. */
static void *polls_both(void *unused)
{
    struct pollfd entries[2] = {{fd, POLLOUT, 0}, {ends[0], POLLIN, 0}};
    __atomic_store_n(&thread_id, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    poll(entries, 2, -1);
    pthread_testcancel();
    return unused;
}

/* A thread is cancelled before it runs again after its wait: there is one processor for both. */
static void scene_woken(void)
{
    struct sockaddr_in address = v4("192.0.2.1", 80);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    EXPECT(sched_setaffinity(0, sizeof one, &one) == 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        FAILS(connect(fd, (struct sockaddr *)&address, sizeof address), EINPROGRESS);
        EXPECT(pipe(ends) == 0);
        thread_id = 0;
        EXPECT(pthread_create(&thread, NULL, polls_both, NULL) == 0);
        wait_until_asleep(&thread_id);
        EXPECT(write(ends[1], "x", 1) == 1 && pthread_cancel(thread) == 0);
        EXPECT(pthread_join(thread, NULL) == 0);
        close(fd);
        close(ends[0]);
        close(ends[1]);
    }
}

static void connect_through_tor(void)
{
    reach(fd, "192.0.2.1", 80);
}

static void poll_a_connect(void)
{
    struct pollfd entry = {fd, POLLOUT, 0};
    poll(&entry, 1, -1);
}

/* The clean-up handlers of a thread that is cancelled before its wait have the thread's own mask. In the wait libc may
   run them with signals blocked: see the limits in design/nonblocking.md. */
static void scene_mask(void)
{
    sigset_t own;
    EXPECT(sigemptyset(&own) == 0 && sigaddset(&own, SIGUSR2) == 0);
    EXPECT(pthread_sigmask(SIG_BLOCK, &own, NULL) == 0);
    for (int polls = 0; polls < 2; polls++) {
        fd = socket(AF_INET, SOCK_STREAM | (polls ? SOCK_NONBLOCK : 0), 0);
        if (polls)
            FAILS(reach(fd, "192.0.2.1", 80), EINPROGRESS);
        cancel(polls ? poll_a_connect : connect_through_tor, 1);
        EXPECT(sigismember(&blocked, SIGUSR2) == 1);
        EXPECT(sigismember(&blocked, SIGUSR1) == 0 && sigismember(&blocked, SIGTERM) == 0);
        EXPECT(close(fd) == 0);
    }
}

static const struct scene scenes[] = {
    {"accept", scene_accept},
    {"receive", scene_receive},
    {"send", scene_send},
    {"wait", scene_wait},
    {"system", scene_system},
    {"fcntl", scene_fcntl},
    {"connect", scene_connect},
    {"close", scene_close},
    {"woken", scene_woken},
    {"mask", scene_mask},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
