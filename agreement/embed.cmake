# Writes INPUT as one C++ string literal to OUTPUT: cmake -DINPUT=... -DOUTPUT=... -P embed.cmake
file(READ "${INPUT}" text)
get_filename_component(name "${INPUT}" NAME)
file(WRITE "${OUTPUT}" "// Made of agreement/${name} by agreement/embed.cmake.\nR\"sluice_pack(${text})sluice_pack\"\n")
