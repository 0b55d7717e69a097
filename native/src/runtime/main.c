/* wherry-runtime: an OCI runtime; see cli.h. */
#include "cli.h"

int main(int argc, char **argv)
{
    return wherry_cli_main(argc, argv);
}
