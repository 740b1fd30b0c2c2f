/*
 * See stepping.h.
 */
#include "tests/stress/stepping.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t stepping_start(void (*run)(void *of), void *of, _Atomic uint32_t *done)
{
	int status;
	pid_t pid;

	atomic_store(done, 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(NO_PTRACE);
		raise(SIGSTOP);
		run(of);
		atomic_store(done, 1);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		printf("ring_stress: ptrace is not permitted here: nothing was tested\n");
		exit(NO_PTRACE);
	}
	return pid;
}

bool stepping_step(pid_t pid, _Atomic uint32_t *done)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
		world_fault("stepping", "the child died of itself");
		return false;
	}
	return !atomic_load(done);
}

void stepping_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
