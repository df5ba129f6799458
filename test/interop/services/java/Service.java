import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URL;
import java.util.concurrent.Executors;

/** A small HTTP service that knows nothing of telemetry: the OpenTelemetry agent for Java makes its spans. */
public class Service {
  private static final String NEXT = System.getenv("NEXT");

  public static void main(String[] args) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", Service::handle);
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.start();
    System.out.println(server.getAddress().getPort());
  }

  private static void handle(HttpExchange exchange) throws IOException {
    int status = NEXT == null ? 200 : call(NEXT);
    exchange.sendResponseHeaders(status, -1);
    exchange.close();
  }

  private static int call(String url) throws IOException {
    HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
    int status = connection.getResponseCode();
    connection.disconnect();
    return status;
  }
}
