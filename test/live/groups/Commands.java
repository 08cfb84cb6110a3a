import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;
import java.util.Map;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs many of Kafka's command line tools in one JVM, since its start costs more than they do. Each line of the input
 * is a JSON array: the class and its arguments. Each line of the output is {"code": the exit code, "output": all that
 * it printed}.
 */
public class Commands {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Thrown where the tool would have ended the process; a tool may catch it and go on, which does not count. */
  private static final class Ended extends Error {
    private static final long serialVersionUID = 1;
  }

  private final ByteArrayOutputStream printed = new ByteArrayOutputStream();
  private Integer code;
  private String output;

  public static void main(String[] args) throws Exception {
    PrintStream out = System.out;
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      Commands command = new Commands();
      command.run(JSON.readValue(line, String[].class));
      out.println(
          JSON.writeValueAsString(Map.of("code", command.code, "output", command.output)));
    }
    System.exit(0);
  }

  private void run(String[] line) throws ReflectiveOperationException {
    PrintStream into = new PrintStream(printed, true);
    System.setOut(into);
    System.setErr(into);
    Exit.setExitProcedure((status, message) -> exit(status));
    Exit.setHaltProcedure((status, message) -> exit(status));
    String[] args = Arrays.copyOfRange(line, 1, line.length);
    try {
      Class.forName(line[0]).getMethod("main", String[].class).invoke(null, (Object) args);
      end(0);
    } catch (InvocationTargetException e) {
      // What a JVM does with an exception that nobody catches.
      if (code == null) e.getCause().printStackTrace();
      end(1);
    }
  }

  private void exit(int status) {
    end(status);
    throw new Ended();
  }

  private void end(int status) {
    if (code != null) return;
    code = status;
    output = printed.toString();
  }
}
