#include "master/program.h"
#include <fcntl.h>
#include <unistd.h>
int program_running(void) { return open("/proc/self/exe", O_PATH | O_CLOEXEC); }
int program_open(const char *path) { return open(path, O_PATH | O_CLOEXEC); }
void program_execute(int fd, char *const argv[]) { execveat(fd, "", argv, environ, AT_EMPTY_PATH); }
