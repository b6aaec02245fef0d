/* A program, or a library, that connects or waits by system calls of its own. It prints `ran`, and makes none
   of them. Compiled with BY_GATE it has a function that makes the calls and is given their numbers, with
   WITH_LIBC it has libc's connect, too, with LIBCS_SOCKET only libc's socket, with WAITS it only waits, with RING
   it sets an io_uring up. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ENTER(number, a, b, c)                                                                       \
    ({                                                                                               \
        long result_;                                                                                \
        __asm__ volatile("syscall"                                                                   \
                         : "=a"(result_)                                                             \
                         : "a"((long)(number)), "D"(a), "S"(b), "d"(c)                               \
                         : "rcx", "r11", "memory");                                                  \
        result_;                                                                                     \
    })
#elif defined(__aarch64__)
#define ENTER(number, a, b, c)                                                                       \
    ({                                                                                               \
        register long first_ __asm__("x0") = (a), second_ __asm__("x1") = (b);                       \
        register long third_ __asm__("x2") = (c), which_ __asm__("x8") = (number);                   \
        __asm__ volatile("svc 0" : "+r"(first_) : "r"(second_), "r"(third_), "r"(which_) : "memory"); \
        first_;                                                                                      \
    })
#endif

#ifdef BY_GATE
__attribute__((noinline, noclone)) static long enter(long number, long a, long b, long c)
{
    return ENTER(number, a, b, c);
}
#else
#define enter ENTER
#endif

long reaches(long fd, long address, long length);

long reaches(long fd, long address, long length)
{
#if defined(WAITS)
    return enter(SYS_epoll_pwait, fd, address, length);
#elif defined(RING)
    return enter(425, fd, address, length);
#else
#ifdef LIBCS_SOCKET
    long made = socket((int)fd, (int)address, (int)length);
#else
    long made = enter(SYS_socket, fd, address, length);
#endif
    return made + enter(SYS_connect, fd, address, length);
#endif
}

#ifdef WITH_LIBC
int (*volatile other)(int, const struct sockaddr *, socklen_t) = connect;
#endif

int main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1000)
        printf("%ld\n", reaches(count, count, count));
    puts("ran");
    return 0;
}
