/* How many processors there are. */
#ifndef MX_BASE_PROCESSORS_H
#define MX_BASE_PROCESSORS_H

/* Those this process may run on, 1 at least.  A quota (cgroup) is not seen. */
unsigned processors(void);

#endif
