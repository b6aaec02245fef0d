/* shells SCENE: what system, popen and pclose do for a program that uses them as POSIX says. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "scene.h"

extern char **environ;

static void scene_status(void)
{
    EXPECT(system(NULL) == 1);
    errno = 5;
    EXPECT(system("exit 7") == 7 << 8 && errno == 5);
    EXPECT(system("kill -9 $$") == SIGKILL);
    EXPECT(system("-no-such-command 2>/dev/null") == 127 << 8);
    EXPECT(WEXITSTATUS(system("exec /nonexistent/program 2>/dev/null")) == 127);
    FAILS(waitpid(-1, NULL, 0), ECHILD);
}

static void unused(int signal)
{
    (void)signal;
}

static int gate[2];

static void *in_system(void *command)
{
    return (void *)(long)system(command);
}

/* Until another process has made the file. */
static void wait_for(const char *path)
{
    while (access(path, F_OK) != 0)
        sched_yield();
}

static int disposition_is(int signal, void (*handler)(int))
{
    struct sigaction action;
    EXPECT(sigaction(signal, NULL, &action) == 0);
    return action.sa_handler == handler;
}

static void scene_signals(void)
{
    pthread_t first, second;
    sigset_t set;
    signal(SIGINT, unused);
    EXPECT(mkfifo("a", 0600) == 0 && mkfifo("b", 0600) == 0);
    EXPECT(pthread_create(&first, NULL, in_system, "touch in-a; read x < a") == 0);
    wait_for("in-a");
    EXPECT(disposition_is(SIGINT, SIG_IGN) && disposition_is(SIGQUIT, SIG_IGN));
    EXPECT(pthread_create(&second, NULL, in_system, "touch in-b; read x < b") == 0);
    wait_for("in-b");
    /* The first to come is the first to go; the signals are still ignored. */
    close(open("a", O_WRONLY));
    EXPECT(pthread_join(first, NULL) == 0);
    EXPECT(disposition_is(SIGINT, SIG_IGN) && disposition_is(SIGQUIT, SIG_IGN));
    close(open("b", O_WRONLY));
    EXPECT(pthread_join(second, NULL) == 0);
    EXPECT(disposition_is(SIGINT, unused) && disposition_is(SIGQUIT, SIG_DFL));
    /* The shell hears what the caller does not ignore. */
    EXPECT(system("kill -2 $$") == SIGINT);
    signal(SIGINT, SIG_IGN);
    EXPECT(system("kill -2 $$; exit 3") == 3 << 8 && disposition_is(SIGINT, SIG_IGN));
    EXPECT(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && !sigismember(&set, SIGCHLD));
}

static void scene_cancelled(void)
{
    pthread_t thread;
    void *result;
    int status;
    signal(SIGINT, unused);
    EXPECT(mkfifo("a", 0600) == 0 && pipe2(gate, O_CLOEXEC) == 0);
    EXPECT(pthread_create(&thread, NULL, in_system, "echo $$ > id; touch in; read x < a") == 0);
    wait_for("in");
    FILE *file = fopen("id", "r");
    int id = 0;
    EXPECT(file && fscanf(file, "%d", &id) == 1);
    fclose(file);
    EXPECT(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
    EXPECT(result == PTHREAD_CANCELED);
    /* It is gone, and has been waited for. */
    EXPECT(kill(id, 0) == -1 && errno == ESRCH);
    FAILS(waitpid(-1, &status, 0), ECHILD);
    EXPECT(disposition_is(SIGINT, unused) && disposition_is(SIGQUIT, SIG_DFL));
    EXPECT(system("exit 4") == 4 << 8);
}

static void scene_popen(void)
{
    char line[64];
    FILE *stream = popen("echo hello; exit 5", "r");
    EXPECT(stream && fgets(line, sizeof line, stream) && strcmp(line, "hello\n") == 0);
    EXPECT(fileno(stream) >= 0 && !(fcntl(fileno(stream), F_GETFD) & FD_CLOEXEC));
    EXPECT(pclose(stream) == 5 << 8);
    stream = popen("cat > out", "w");
    EXPECT(stream && fputs("text", stream) >= 0 && pclose(stream) == 0);
    stream = popen("read x < out; test \"$x\" = text", "re");
    EXPECT(stream && fcntl(fileno(stream), F_GETFD) & FD_CLOEXEC);
    EXPECT(WEXITSTATUS(pclose(stream)) <= 1);
    stream = popen("exit 6", "r");
    /* As libc, though POSIX does not say so. */
    int (*volatile close_stream)(FILE *) = fclose;
    EXPECT(stream && close_stream(stream) == 6 << 8);
    FAILS(waitpid(-1, NULL, 0), ECHILD);
    EXPECT(!popen("true", "rw") && errno == EINVAL);
    EXPECT(!popen("true", "") && errno == EINVAL);
    static FILE *many[300];
    for (int i = 0; i < 300; i++)
        EXPECT((many[i] = popen("exit 1", "r")));
    for (int i = 0; i < 300; i++)
        EXPECT(pclose(many[(i * 7) % 300]) == 1 << 8);
    FAILS(waitpid(-1, NULL, 0), ECHILD);
}

static void scene_earlier(void)
{
    char command[128];
    FILE *first = popen("cat > first", "w");
    EXPECT(first);
    snprintf(command, sizeof command, "test ! -e /proc/$$/fd/%d", fileno(first));
    FILE *second = popen(command, "r");
    EXPECT(second && pclose(second) == 0);
    /* A child that has it would keep cat from its end. */
    EXPECT(pclose(first) == 0);
    EXPECT(close(0) == 0);
    first = popen("exit 3", "r");
    EXPECT(first && pclose(first) == 3 << 8);
    EXPECT(close(1) == 0);
    first = popen("exit 3", "w");
    EXPECT(first && pclose(first) == 3 << 8);
    EXPECT(open("/dev/null", O_RDONLY) == 0 && dup2(2, 1) == 1);
}

static void scene_environment(void)
{
    char *bare[] = {"A=1", NULL};
    environ = bare;
    EXPECT(system("case $LD_PRELOAD in *epochsocks*) exit 0 ;; esac; exit 1") == 0);
    FILE *stream = popen("case $LD_PRELOAD$A in *epochsocks*1) exit 0 ;; esac; exit 1", "r");
    EXPECT(stream && pclose(stream) == 0);
    EXPECT(environ == bare && !bare[1] && strcmp(bare[0], "A=1") == 0);
    EXPECT(clearenv() == 0 && system("test -n \"$LD_PRELOAD\"") == 0 && !environ);
}

static const struct scene scenes[] = {
    {"status", scene_status},
    {"signals", scene_signals},
    {"cancelled", scene_cancelled},
    {"popen", scene_popen},
    {"earlier", scene_earlier},
    {"environment", scene_environment},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
