/* Threads that are cancelled in a hook, or jump out of it in a handler, and what they leave behind: one
   scene for each. The proxy never answers. */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#include "scene.h"

enum { TIMES = 20 };

static int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static int mappings(void)
{
    int count = 0, byte;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && (byte = fgetc(maps)) != EOF)
        count += byte == '\n';
    fclose(maps);
    return count;
}

static int thread_id;

static void tell_thread(void) { __atomic_store_n(&thread_id, (int)gettid(), __ATOMIC_RELEASE); }

static void look_up(void)
{
    struct addrinfo *found;
    getaddrinfo("name.test", "80", NULL, &found);
}

static void *look_up_in_thread(void *unused)
{
    tell_thread();
    look_up();
    return unused;
}

/* A number that the program has not open is free, whatever a lookup in another thread needs. */
static void scene_numbers(void)
{
    pthread_t thread;
    int null = open("/dev/null", O_RDONLY), lowest = dup(null);
    EXPECT(lowest > null && close(lowest) == 0);
    EXPECT(pthread_create(&thread, NULL, look_up_in_thread, NULL) == 0);
    wait_until_asleep(&thread_id);
    for (int number = lowest; number < lowest + 8; number++) {
        EXPECT(dup2(null, number) == number);
        EXPECT(dup3(null, number, O_CLOEXEC) == number && close(number) == 0);
    }
    exit((puts("done"), 0));
}

static void scene_cancelled(void)
{
    int before = open_descriptors();
    for (int i = 0; i < TIMES; i++) {
        pthread_t thread;
        void *result;
        thread_id = 0;
        EXPECT(pthread_create(&thread, NULL, look_up_in_thread, NULL) == 0);
        wait_until_asleep(&thread_id);
        EXPECT(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
        EXPECT(result == PTHREAD_CANCELED);
    }
    /* One of the last may still be open. */
    EXPECT(open_descriptors() <= before + 2);
}

static sigjmp_buf back;
static pthread_t jumper;

static void jump(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

/* Lets the main thread jump each time that it sleeps. */
static void *disturb(void *unused)
{
    (void)unused;
    for (int i = 0; i < TIMES; i++) {
        wait_until_asleep(&thread_id);
        thread_id = 0;
        EXPECT(pthread_kill(jumper, SIGUSR1) == 0);
    }
    return NULL;
}

static void jump_out_of(void (*call)(void))
{
    pthread_t thread;
    volatile int times = 0;
    jumper = pthread_self();
    EXPECT(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = jump}, NULL) == 0);
    EXPECT(pthread_create(&thread, NULL, disturb, NULL) == 0);
    while (times < TIMES) {
        times++;
        if (sigsetjmp(back, 1) == 0) {
            tell_thread();
            call();
            EXPECT(!"it came back");
        }
    }
    EXPECT(pthread_join(thread, NULL) == 0);
}

static void scene_jumps(void)
{
    int before = open_descriptors();
    jump_out_of(look_up);
    EXPECT(open_descriptors() <= before + 1);
}

static void wait_for_many(void)
{
    static struct pollfd entries[400];
    for (int i = 0; i < 400; i++)
        entries[i].fd = -1;
    poll(entries, 400, -1);
}

/* While a handshake is under way the hook waits on a copy of the array. */
static void scene_waits(void)
{
    struct sockaddr_in address = v4("192.0.2.1", 80);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    FAILS(connect(fd, (struct sockaddr *)&address, sizeof address), EINPROGRESS);
    jump_out_of(wait_for_many);
    int before = mappings();
    jump_out_of(wait_for_many);
    /* The stack of the thread that disturbs may be another one. */
    EXPECT(mappings() <= before + 2);
}

static void scene_programs(void)
{
    char *arguments[400] = {"/bin/true"}, *environment[400];
    int before = 0, status;
    for (int i = 1; i < 399; i++)
        arguments[i] = "argument";
    for (int i = 0; i < 399; i++)
        environment[i] = i == 0 ? getenv("SETTING") : "A=B";
    environment[399] = NULL;
    for (int i = 0; i < TIMES; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execve(arguments[0], arguments, environment);
            _exit(9);
        }
        EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        if (i == 0)
            before = mappings();
    }
    EXPECT(mappings() <= before);
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {{"numbers", scene_numbers}, {"cancelled", scene_cancelled},
        {"jumps", scene_jumps}, {"waits", scene_waits}, {"programs", scene_programs}, {0}};
    return play(scenes, count, arguments);
}
