/* A probe's way under a seccomp filter of its own. */
#ifndef FILTER_H
#define FILTER_H
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "scene.h"

/* From here on the process is under `filter`, of so many instructions. */
static inline void enter_filter(struct sock_filter *filter, int length)
{
    struct sock_fprog program = {length, filter};
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}
#endif
