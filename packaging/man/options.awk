# The output of --help (CLI11's) as paragraphs of a manual page. describe: also the sentence that begins it, its usage
# and its example. keys: a file with names of configuration keys; then only these are printed, by their names there.
function roff(text) {
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  if (text ~ /^[.']/) text = "\\&" text
  return text
}
function trim(text) {
  gsub(/^ +| +$/, "", text)
  return text
}
BEGIN {
  while (keys != "" && (getline name <keys) > 0) {
    flag = name
    gsub(/[._]/, "-", flag)
    key_of["--" flag] = name
  }
}
NR == 1 && describe { print roff($0); next }
/^Usage:/ && describe {
  print ".PP"
  print ".B " roff(substr($0, 8))
  next
}
/^[^ ].*:$/ {
  section = substr($0, 1, length($0) - 1)
  if (section == "Example" && describe) print ".PP\nExample:"
  next
}
/^[^ ]/ { section = ""; next }
section == "" || section == "Subcommands" { next }
section == "Example" {
  if (describe && NF) print ".PP\n.RS\n.nf\n" roff(trim($0)) "\n.fi\n.RE"
  next
}
# "  -h,--help                   What it does", or the name alone where it is long.
/^  [^ ]/ {
  left = trim(length($0) > 30 && substr($0, 30, 1) == " " ? substr($0, 1, 30) : $0)
  right = left == trim($0) ? "" : trim(substr($0, 31))
  shown = 1
  if (keys != "") {
    split(left, words, " ")
    shown = words[1] in key_of
    left = key_of[words[1]]
  }
  if (left ~ /^-h,--help/) shown = 0
  if (!shown) next
  print ".TP\n.B " roff(left)
  if (right != "") print roff(right)
  next
}
/^ +[^ ]/ && shown {
  # Behind the sentence of a key stands what it takes.
  if (!describe && $0 ~ /; default: /) print ".br"
  print roff(trim($0))
}
